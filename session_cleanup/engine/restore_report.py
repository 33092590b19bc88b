"""What is asked of a restore, and what it says afterwards. Plain data; `reporting` shows it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from session_cleanup.exceptions import ConfigurationError

LISTED = 1000  # rows left alone that are named; more are only counted
REASONS = {
    "key_exists": "a row with its key exists",
    "unique": "another row has a value that must be unique",
    "parent_gone": "a row that it refers to is gone",
    "changed": "it has changed since",
    "gone": "it is gone",
    "no_place": "its table has changed",
    "refused": "the database refuses it",
    "closed": "no key of SESSION_CLEANUP_UNDO_KEYS opens it",
    "locked": "somebody else has locked what it needs",
}


@dataclass(frozen=True, kw_only=True)
class RestoreRequest:
    """What to put back: all that a run took away, or one job of it, or single rows with what hung on them."""

    run: int
    job: str | None = None
    pks: tuple[str, ...] = ()
    dry_run: bool = False
    trigger: str = "python"
    actor: str = ""

    def __post_init__(self) -> None:
        if type(self.run) is not int or not 1 <= self.run < 2**63:
            raise ConfigurationError(f"RUN is {self.run!r}. Give the number of a run, such as 17.")


@dataclass(frozen=True)
class Restorable:
    """A job of a run of which records are left."""

    run: int
    job: str
    model: str
    database: str
    until: datetime


@dataclass(frozen=True)
class LeftAlone:
    """A row that was not put back; without a key: all of a table."""

    model: str
    pk: str | None
    reason: str
    detail: str = ""


@dataclass(kw_only=True)
class RestoredJob:
    """What became of the records of one job."""

    name: str
    model: str
    database: str
    restored: Counter[str] = field(default_factory=Counter)  # rows by label
    left_alone: Counter[str] = field(default_factory=Counter)  # by reason
    rows: list[LeftAlone] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)  # secret columns that came back empty
    end_state: str | None = None
    error: str | None = None

    def leave(self, row: LeftAlone, count: int = 1) -> None:
        self.left_alone[row.reason] += count
        if len(self.rows) < LISTED:
            self.rows.append(row)


@dataclass(kw_only=True)
class RestoreReport:
    run: int | None  # this one
    restored_run: int
    dry_run: bool
    started_at: datetime
    finished_at: datetime
    jobs: list[RestoredJob]
    held_until: datetime | None = None

    @property
    def status(self) -> str:
        return self._outcome[0]

    @property
    def exit_status(self) -> int:
        return self._outcome[1]

    @property
    def _outcome(self) -> tuple[str, int]:
        ends = {job.end_state for job in self.jobs}
        if ends & {"failed", "lease_lost"}:
            return "failed", 1
        if "stopped" in ends:
            return "stopped", 5
        if "busy" in ends:
            return "busy", 4
        return ("incomplete", 3) if any(job.left_alone for job in self.jobs) else ("ok", 0)
