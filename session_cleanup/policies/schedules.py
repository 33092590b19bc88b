"""When a job runs: the project's own word comes first."""

from session_cleanup.conf import conf
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies.cron import parse
from session_cleanup.policies.job import Job
from session_cleanup.policies.policy import GROUPS


def schedule_of(job: Job) -> str:
    """The cron expression (UTC) that starts `job`."""
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
