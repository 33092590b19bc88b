"""Settings of a connection that make runs unsafe or slow; only those that the batches do not set themselves.

A batch sets its own isolation level, lock_timeout, statement_timeout and idle time-out, so what a role or
server says of these does not reach it.
"""

from collections.abc import Iterator
from typing import Any

from django.db import connections

from session_cleanup.conf import conf
from session_cleanup.doctor.catalog import Catalog
from session_cleanup.doctor.findings import Finding, Severity
from session_cleanup.doctor.looking import FAILURES
from session_cleanup.engine.connections import database_clock
from session_cleanup.engine.report import sentence

VENDORS = ("postgresql", "sqlite")
POOLER_PORTS = ("6432", "6543")  # PgBouncer's own, and that of Supabase's transaction mode
SHORT_MS = 1000


def unusable(using: str) -> Iterator[Finding]:
    """Why nothing at all can be done in a database."""
    connection = connections[using]
    if connection.vendor not in VENDORS:
        yield Finding(
            "database-unsupported",
            Severity.SERIOUS,
            using,
            f"It is {connection.display_name}.",
            "Policies run in PostgreSQL and SQLite.",
            "Name another database in the policy, or remove the policy.",
        )
        return
    try:
        connection.ensure_connection()
        database_clock(using)
    except FAILURES as error:
        yield Finding(
            "database-down",
            Severity.SERIOUS,
            using,
            f"It does not answer: {sentence(error)}",
            "Its jobs cannot run.",
            "Start it, or correct its settings in DATABASES.",
        )


def of_connection(catalog: Catalog) -> Iterator[Finding]:
    configured = connections[catalog.using].settings_dict
    yield from _of_settings(catalog.using, configured)
    found = catalog.settings()
    if connections[catalog.using].vendor == "postgresql":
        yield from _of_postgresql(catalog.using, found, configured)
    else:
        yield from _of_sqlite(catalog.using, found)


def _of_settings(using: str, configured: dict[str, Any]) -> Iterator[Finding]:
    if not configured["AUTOCOMMIT"]:
        yield Finding(
            "autocommit-off",
            Severity.SERIOUS,
            using,
            "AUTOCOMMIT is off.",
            "A batch could not be a transaction of its own, so runs refuse to start.",
            "Remove AUTOCOMMIT from its settings.",
        )
    if configured["ATOMIC_REQUESTS"]:
        yield Finding(
            "atomic-requests",
            Severity.NOTE,
            using,
            "ATOMIC_REQUESTS is on.",
            "Each batch commits by itself, so it refuses to run inside a request's transaction.",
            "Mark a view of yours that runs jobs with django.db.transaction.non_atomic_requests.",
        )


def _of_postgresql(using: str, found: dict[str, str], configured: dict[str, Any]) -> Iterator[Finding]:
    if "on" in (found["in_recovery"], found["default_transaction_read_only"]):
        standby = found["in_recovery"] == "on"
        yield Finding(
            "database-read-only",
            Severity.SERIOUS,
            using,
            "The server is a standby." if standby else "default_transaction_read_only is on.",
            "Runs fail at their first change.",
            "Name the primary in DATABASES." if standby else "Turn it off for the role that runs the jobs.",
        )
    said = found["default_transaction_isolation"]
    if "isolation_level" in configured["OPTIONS"]:
        level = connections[using].isolation_level  # type: ignore[attr-defined]
        said = level.name.replace("_", " ").lower()
    if said != "read committed":
        yield Finding(
            "isolation-level",
            Severity.NOTE,
            using,
            f"Transactions are {said.upper()}.",
            "Batches set READ COMMITTED for themselves. Your own writers can fail with serialization errors "
            "when they meet a row that a run has changed.",
            "Nothing needs to be done for the runs.",
        )
    if 0 < int(found["statement_timeout"]) < conf.STATEMENT_TIMEOUT_MS:
        yield Finding(
            "statement-timeout",
            Severity.ADVICE,
            using,
            f"statement_timeout is {found['statement_timeout']} ms, less than the "
            f"{conf.STATEMENT_TIMEOUT_MS} of SESSION_CLEANUP_STATEMENT_TIMEOUT_MS.",
            "Batches set their own, but what the walk asks between them, and a dry run, end with this one.",
            "Give the role that runs the jobs a longer one: ALTER ROLE … SET statement_timeout.",
        )
    pooled = str(configured["PORT"]) in POOLER_PORTS
    if pooled and not configured["DISABLE_SERVER_SIDE_CURSORS"]:
        yield Finding(
            "server-side-cursors",
            Severity.ADVICE,
            using,
            f"Port {configured['PORT']} is that of a pooler, and DISABLE_SERVER_SIDE_CURSORS is off.",
            "Runs use no such cursors, but in the rest of your project iterator() fails when transactions "
            "are pooled.",
            "Set DISABLE_SERVER_SIDE_CURSORS to True, unless it pools whole sessions.",
        )


def _of_sqlite(using: str, found: dict[str, str]) -> Iterator[Finding]:
    if int(found["busy_timeout"]) < SHORT_MS:
        yield Finding(
            "sqlite-timeout",
            Severity.ADVICE,
            using,
            f"It gives up on a locked file after {found['busy_timeout']} ms.",
            "Batches and other writers fail each other.",
            'Raise OPTIONS["timeout"] to a few seconds.',
        )
    if found["journal_mode"] not in ("wal", "memory"):
        yield Finding(
            "sqlite-journal",
            Severity.ADVICE,
            using,
            f"Its journal_mode is {found['journal_mode']}.",
            "Each batch waits for all readers when it commits, and they for it.",
            "Set it once: PRAGMA journal_mode = WAL (not on a network file system).",
        )
    if found["synchronous"] == "off":
        yield Finding(
            "sqlite-synchronous",
            Severity.ADVICE,
            using,
            "Its synchronous is OFF.",
            "A power cut during a batch can destroy the file.",
            "PRAGMA synchronous = NORMAL is safe with WAL, and nearly as fast.",
        )
