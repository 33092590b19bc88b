"""The figures of the statistics page, as plain data that its template shows.

A figure that could not be read is a Fault; one that took too long is None, never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from session_cleanup.web.admin.reading import Fault
from session_cleanup.web.admin.states import State

Figure = int | Fault | None


@dataclass(frozen=True)
class LastRun:
    """What the newest run of a job came to."""

    run_id: int
    started_at: datetime
    state: State
    changed: int


@dataclass(frozen=True)
class JobFigures:
    name: str
    action: str  # this, model and due: only a policy has them
    model: str
    schedule: str  # empty: it was refused
    due: Figure
    last: LastRun | Fault | None  # None: it never ran


@dataclass(frozen=True)
class AgeFigures:
    """The rows that meet a job's condition, by age, youngest first."""

    job: str
    buckets: Mapping[str, int | None] | Fault | None

    @property
    def total(self) -> int | None:
        counts = [*self.buckets.values()] if isinstance(self.buckets, Mapping) else [None]
        return None if None in counts else sum(count for count in counts if count)


@dataclass(frozen=True)
class KindFigures:
    """The sessions of one kind. One that is neither active nor ended is inactive."""

    kind: str
    active: int
    inactive: int
    ended: int
    total: int


@dataclass(frozen=True)
class RunFigures:
    run_id: int
    state: State
    started_at: datetime
    took: timedelta | None
    changed: int
    failed: list[str]  # jobs
    trigger: str
    actor: str
    host: str


@dataclass(frozen=True)
class Figures:
    now: datetime | None  # by the history's own clock; None: it does not answer
    problems: list[str]  # errors of the configuration: while there is one, no run starts
    enabled: bool  # whether runs may change anything
    jobs: list[JobFigures]
    ages: list[AgeFigures]
    sessions: list[KindFigures] | Fault | None
    runs: list[RunFigures] | Fault | None
