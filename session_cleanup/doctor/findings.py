"""What an examination says. Plain data; `reporting.diagnosis` shows it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    SERIOUS = "serious"  # runs fail, or harm others: exit status 1
    ADVICE = "advice"  # worth a change
    NOTE = "note"  # good to know


# What each finding means, in the order in which findings are shown.
MEANINGS = {
    "database-down": "a database does not answer",
    "database-unsupported": "a database is neither PostgreSQL nor SQLite",
    "database-read-only": "a database takes no changes",
    "autocommit-off": "a connection has AUTOCOMMIT off, so no batch can be a transaction of its own",
    "atomic-requests": "a view that runs jobs needs to be non_atomic_requests",
    "isolation-level": "a connection's isolation level is not READ COMMITTED",
    "statement-timeout": "the server ends statements earlier than our own bound does",
    "server-side-cursors": "behind a transaction pooler, server-side cursors break",
    "sqlite-timeout": "an SQLite connection gives up on a locked file too soon",
    "sqlite-journal": "readers and batches block each other in an SQLite file without WAL",
    "sqlite-synchronous": "a power cut can destroy an SQLite file with synchronous=OFF",
    "table-missing": "a table that a run needs does not exist",
    "index-missing": "no index leads to the rows of a policy",
    "index-invalid": "an index that would lead there was never finished",
    "index-partial": "an index that would lead there holds other rows",
    "index-not-migrated": "an index that would lead there is declared, but not in the database",
    "index-not-used": "the planner does not take the index that would lead there",
    "step-too-slow": "one question of the walk took too long",
    "reference-without-index": "a column that refers to rows that go has no index",
    "trigger": "a trigger runs for each row that a run changes",
    "receiver": "signal receivers run for each row that a run deletes",
    "preview-inexact": "a preview may differ from its run",
    "json-path": "a condition looks into a JSON column",
    "dead-rows": "a large share of a table is dead rows",
    "autovacuum-off": "nothing removes the dead rows of a table",
    "space-to-win": "a table or file holds much more space than its rows need",
    "not-examined": "a question to the database failed or took too long",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found. `subject` is the job, table, column or database that it is about."""

    slug: str
    severity: Severity
    subject: str
    what: str
    why: str
    cure: str
    migration: str = ""  # the text of a file that cures it

    def __post_init__(self) -> None:
        if self.slug not in MEANINGS:
            raise ValueError(f"{self.slug!r} is not among MEANINGS. Say there what it means.")


@dataclass(frozen=True)
class Question:
    """A statement of the walk, with placeholders, and the plan that the database makes for it."""

    sql: str
    plan: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Examined:
    """One policy as its database sees it. None: not known (the count took too long or failed)."""

    name: str
    model: str
    database: str
    action: str
    walk: str | None = None
    index: str | None = None  # by which the walk can go
    rows: int | None = None
    due: int | None = None
    sampled: bool = False  # whether both are estimates from a sample
    questions: tuple[Question, ...] = ()

    @property
    def share(self) -> float | None:
        """The share of the rows that is due, from 0 to 1."""
        if self.rows is None or self.due is None:
            return None
        return self.due / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Diagnosis:
    """All that was found."""

    examined_at: datetime
    jobs: tuple[Examined, ...]
    findings: tuple[Finding, ...]

    @property
    def exit_status(self) -> int:
        return int(any(finding.severity is Severity.SERIOUS for finding in self.findings))

    def count(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)
