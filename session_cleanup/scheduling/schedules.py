"""When each job runs, and which jobs share a timer."""

from collections.abc import Iterable

from session_cleanup.policies.cron import next_times
from session_cleanup.policies.job import Job
from session_cleanup.policies.registry import jobs
from session_cleanup.policies.schedules import schedule_of

__all__ = ["next_times", "schedule_of", "timers"]


def timers(chosen: Iterable[Job] | None = None) -> dict[str, list[Job]]:
    """Cron expression to the jobs it starts, in order: one timer for each distinct expression."""
    found: dict[str, list[Job]] = {}
    for job in jobs() if chosen is None else chosen:
        found.setdefault(schedule_of(job), []).append(job)
    return found
