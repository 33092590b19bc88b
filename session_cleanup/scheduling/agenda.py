"""Which jobs are to be started: those that have not started since their last hour.

When a job last started stands in its lease, whoever started it. So hours that were missed are caught up with
once, and at an hour at which somebody else has started a job it is left alone.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from session_cleanup.conf import conf
from session_cleanup.engine.leases import last_taken
from session_cleanup.policies.cron import last_time, next_times
from session_cleanup.policies.job import Job
from session_cleanup.scheduling.adaptive import Moved
from session_cleanup.scheduling.cron import shortest_gap
from session_cleanup.scheduling.schedules import timers

AT_ONCE = datetime.min.replace(tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass
class Timer:
    """A cron expression and the jobs that it starts, a little later each time: by `delay`."""

    cron: str
    jobs: list[Job]
    delay: timedelta = field(init=False)
    look_at: datetime = AT_ONCE  # nothing is due before

    def __post_init__(self) -> None:
        longest = min(shortest_gap(self.cron) / 10, timedelta(seconds=conf.JITTER_SECONDS))
        self.delay = random.random() * longest

    def due(self, now: datetime, started: Mapping[str, datetime]) -> list[Job]:
        hour = last_time(self.cron, now - self.delay)
        self.look_at = self.next(now)
        return [job for job in self.jobs if hour and started[job.name] < hour]

    def next(self, now: datetime) -> datetime:
        return next_times(self.cron, now - self.delay, 1)[0] + self.delay


class AdaptiveTimer(Timer):
    """A job of SESSION_CLEANUP_ADAPTIVE: by its cron expression until it ran twice, then by its backlog."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.moved = Moved(self.jobs[0].name)

    def due(self, now: datetime, started: Mapping[str, datetime]) -> list[Job]:
        [job] = self.jobs
        every = self.moved.interval()
        found = super().due(now, started) if every is None else []
        if every is not None and started[job.name] + every <= now:
            found = [job]
        self.look_at = now + MINUTE  # by then its backlog may have become another
        return found


class Agenda:
    """All timers of this project."""

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        fixed = [job for job in jobs if job.name not in conf.ADAPTIVE]
        self.timers = [Timer(cron, list(several)) for cron, several in timers(fixed).items()]
        for cron, several in timers(job for job in jobs if job.name in conf.ADAPTIVE).items():
            self.timers += [AdaptiveTimer(cron, [job]) for job in several]

    def due(self, now: datetime) -> list[str]:
        """The jobs to be started, in their order. Each is named once for each of its hours."""
        ripe = [timer for timer in self.timers if timer.look_at <= now]
        started = last_starts(job for timer in ripe for job in timer.jobs)
        found = {job.name for timer in ripe for job in timer.due(now, started)}
        return [job.name for job in self.jobs if job.name in found]

    def again(self, names: Iterable[str], at: datetime) -> None:
        """Look again then whether these are due: they could not be started."""
        wanted = set(names)
        for timer in self.timers:
            if any(job.name in wanted for job in timer.jobs):
                timer.look_at = min(timer.look_at, at)


def last_starts(jobs: Iterable[Job]) -> dict[str, datetime]:
    by_database = defaultdict(list)
    for job in jobs:
        by_database[job.get_database()].append(job.name)
    found: dict[str, datetime] = {}
    for using, names in by_database.items():
        found |= last_taken(names, using)
    return found
