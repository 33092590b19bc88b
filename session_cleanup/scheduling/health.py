"""Whether each job still succeeds as often as its schedule says."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import router

from session_cleanup.conf import conf
from session_cleanup.engine.connections import database_clock
from session_cleanup.models import CleanupRun, JobRun
from session_cleanup.policies import registry
from session_cleanup.policies.cron import interval
from session_cleanup.policies.schedules import schedule_of

STARTED = datetime.now(UTC)  # this process
SUCCESS = (JobRun.EndState.DRAINED, JobRun.EndState.DRAINED_WITH_SKIPS)


@dataclass(frozen=True)
class JobHealth:
    """last_success, age   None: not within the history
    since               from when a job that never succeeded is given its time; None: nothing ever ran
    """

    name: str
    schedule: str
    allowed: timedelta  # the age from which it is stale
    now: datetime
    last_success: datetime | None
    since: datetime | None

    @property
    def age(self) -> timedelta | None:
        return None if self.last_success is None else self.now - self.last_success

    @property
    def stale(self) -> bool:
        from_then = self.last_success or self.since
        return from_then is None or self.now - from_then > self.allowed


def health_of_jobs(now: datetime | None = None) -> tuple[datetime, list[JobHealth]]:
    """The health of every job at `now` (None: the clock of the history's database)."""
    using = router.db_for_write(CleanupRun)
    at = now or database_clock(using)
    crons = {job.name: schedule_of(job) for job in registry.jobs()}
    runs = JobRun.objects.using(using)
    succeeded = runs.filter(end_state__in=SUCCESS).newest(crons)
    last = {run.job: _utc(run.heartbeat_at or run.run.started_at) for run in succeeded}
    since = _since(using, set(runs.newest(crons).values_list("job", flat=True)))
    return at, [
        JobHealth(
            name=name,
            schedule=cron,
            allowed=conf.STALE_FACTOR * interval(cron, at),
            now=at,
            last_success=last.get(name),
            since=since(name),
        )
        for name, cron in crons.items()
    ]


def _since(using: str, tried: set[str]) -> Callable[[str], datetime | None]:
    """From the first run of all; for a job that nobody ever tried, since it may be new, from our start."""
    began = CleanupRun.objects.using(using).order_by("started_at").values_list("started_at", flat=True)
    first = began.first()
    return lambda job: first and (_utc(first) if job in tried else max(_utc(first), STARTED))


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)  # without USE_TZ it is naive, in the zone of this process
