"""What is asked of a run, and what it says afterwards. Plain data; `reporting` shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from session_cleanup.exceptions import ConfigurationError

RANGES = {  # option -> lowest and highest value
    "max-age": (1, 8760),
    "days": (1, 365),
    "days-ahead": (1, 366),
    "batch-size": (1, 10_000),
    "max-rows": (1, 10**12),
    "max-seconds": (1, 7 * 86_400),
}
# The first of these that applies is how the run as a whole ended.
OUTCOMES = [
    ("failed", 1, {"failed", "lease_lost"}),
    ("stopped", 5, {"stopped"}),
    ("busy", 4, {"busy"}),
    ("incomplete", 3, {"capped", "timed_out"}),
    ("disabled", 0, {"disabled"}),
]


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What to run. Everything is checked here, so that no entrance can forget to.

    jobs, group        names of jobs or presets, or a group; neither: all but weekly and monthly jobs
    max_age, days      hours or days that replace the age of the jobs that take that option
    series, days_ahead  the uid of the only series to generate, and how many days ahead
    batch_size         the largest batch, in rows
    max_rows           rows of its own model that each job may change
    max_seconds        seconds after which the run ends, between two batches
    database           alias to run in, instead of each job's own
    stats              add the statistics to the report
    ages               add at least the ages that some jobs show in every text
    list_rows          how many of the rows that are due to list for each job; None: none
    unless_since       leave alone, as busy, a job that another process has started later than that
    trigger, actor     what started the run, and who, for the history
    """

    jobs: tuple[str, ...] = ()
    group: str | None = None
    dry_run: bool = False
    max_age: int | None = None
    days: int | None = None
    series: UUID | None = None
    days_ahead: int | None = None
    batch_size: int | None = None
    max_rows: int | None = None
    max_seconds: int | None = None
    database: str | None = None
    stats: bool = False
    ages: bool = False
    list_rows: int | None = None
    unless_since: datetime | None = None
    trigger: str = "python"
    actor: str = ""

    def __post_init__(self) -> None:
        for option, (low, high) in RANGES.items():
            value = getattr(self, option.replace("-", "_"))
            if value is not None and not (type(value) is int and low <= value <= high):
                raise ConfigurationError(
                    f"--{option} is {value!r}. Give a whole number from {low:,} to {high:,}."
                )
        if not isinstance(self.series, UUID | None):
            raise ConfigurationError(
                f"--series is {self.series!r}. Give the uid of a series, as in its row or in the admin."
            )
        if self.jobs and self.group is not None:
            raise ConfigurationError("Job names and --type exclude each other. Give one of them.")
        if self.max_age is not None and self.days is not None:
            raise ConfigurationError("--max-age and --days exclude each other. Give one of them.")

    @property
    def age(self) -> tuple[str, timedelta] | None:
        """The age option that was given, and the age it asks for."""
        if self.max_age is not None:
            return "max-age", timedelta(hours=self.max_age)
        return None if self.days is None else ("days", timedelta(days=self.days))

    def options(self) -> dict[str, Any]:
        """What was asked for, for the history; nothing that was left out."""
        names = ("jobs", "group", "max_age", "days", "batch_size", "max_rows", "max_seconds", "database")
        given = {name: str(value) if name == "series" else value for name, value in self.given.items()}
        return {name: value for name in names if (value := getattr(self, name))} | given

    @property
    def given(self) -> dict[str, Any]:
        """What was given for the options of routines."""
        values = {"series": self.series, "days_ahead": self.days_ahead}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class ListedRow:
    """A row that is due, as a verbose listing shows it."""

    key: Any
    clock: datetime | None
    columns: Mapping[str, Any]


@dataclass(kw_only=True)
class JobReport:
    """What one job did, or in a dry run would do."""

    name: str
    model: str
    database: str
    group: str
    action: str | None  # None: the job is no policy
    end_state: str | None = None
    cutoff: datetime | None = None
    due: int | None = None
    changed: int = 0
    related: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    figures: Mapping[str, int] = field(default_factory=dict)  # what else its action counts, such as bytes
    estimated: bool = False  # whether these are, from a sample
    inexact: list[str] = field(default_factory=list)  # why a preview may differ; empty: it does not
    batches: int = 0
    seconds: float = 0.0
    waited: Mapping[str, float] = field(default_factory=dict)  # seconds by what was wrong with the server
    walk: str | None = None
    undo_until: datetime | None = None  # what it did can be taken back
    error: str | None = None
    age_option: str | None = None  # the option that replaced the age, if one did
    age: timedelta | None = None
    clock: str | None = None  # the column that the age is counted from
    rows: list[ListedRow] = field(default_factory=list)
    more_rows: int = 0
    counter: str = ""  # its name in the log line of a run
    verb: str = ""
    product: Any = None  # what it made, or in a dry run would make, beside its counts
    preset: str | None = None


@dataclass(frozen=True)
class Statistics:
    """How the rows of `model` stand. None: not known (the count took too long), or of no meaning here."""

    model: str
    active: int | None = None
    inactive: int | None = None
    total: int | None = None
    due: int | None = None
    orphaned: int | None = None
    by_age: Mapping[str, int | None] | None = None


@dataclass(kw_only=True)
class RunReport:
    """What a run did."""

    run: int | None
    dry_run: bool
    started_at: datetime
    finished_at: datetime
    jobs: list[JobReport]
    stats: dict[str, Statistics] | None = None

    @property
    def status(self) -> str:
        return self._outcome()[0]

    @property
    def exit_status(self) -> int:
        return self._outcome()[1]

    def _outcome(self) -> tuple[str, int]:
        ends = {job.end_state for job in self.jobs}
        return next(((name, code) for name, code, cause in OUTCOMES if ends & cause), ("ok", 0))


def sentence(error: Exception) -> str:
    """What an error says, on one line, with a full stop."""
    said = " ".join(str(error).split())
    return said if said.endswith((".", "!", "?")) else f"{said}."
