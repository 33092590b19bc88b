"""When each job runs, and which jobs share a timer."""

from collections.abc import Iterable

from session_cleanup.conf import conf
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies.cron import next_times, parse
from session_cleanup.policies.job import Job
from session_cleanup.policies.policy import GROUPS
from session_cleanup.policies.registry import jobs

__all__ = ["next_times", "schedule_of", "timers"]


def schedule_of(job: Job) -> str:
    """The cron expression (UTC) that starts `job`: the project's own word comes first."""
    schedules = conf.SCHEDULES
    named = next((name for name in (job.name, job.group) if name in schedules), None)
    if named:
        where, cron = f"SESSION_CLEANUP_SCHEDULES[{named!r}]", schedules[named]
    else:
        where, cron = f"Job {job.name!r}", job.cron or GROUPS[job.group]
    try:
        parse(cron)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    return " ".join(cron.upper().split())


def timers(chosen: Iterable[Job] | None = None) -> dict[str, list[Job]]:
    """Cron expression to the jobs it starts, in order: one timer for each distinct expression."""
    found: dict[str, list[Job]] = {}
    for job in jobs() if chosen is None else chosen:
        found.setdefault(schedule_of(job), []).append(job)
    return found
