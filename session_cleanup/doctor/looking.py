"""How the doctor asks a database: it never changes anything and never asks for long.

Each question is a transaction of its own that is read-only by the database's own doing (READ ONLY, or
query_only in SQLite), whose statements and waits for locks end after SESSION_CLEANUP_STATS_TIMEOUT_MS
(for a locked SQLite file after the connection's own timeout), and which is rolled back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models import QuerySet

from session_cleanup.conf import conf
from session_cleanup.engine.connections import Trouble, bounded, trouble

FAILURES = (DatabaseError, InterfaceError)


@contextmanager
def looking(using: str) -> Iterator[Any]:
    """A cursor to ask with."""
    connection = connections[using]
    milliseconds = conf.STATS_TIMEOUT_MS
    with transaction.atomic(using=using):
        with (
            bounded(connection, milliseconds, lock_ms=milliseconds),
            _read_only(connection),
            connection.cursor() as cursor,
        ):
            yield cursor
        transaction.set_rollback(True, using=using)


@contextmanager
def _read_only(connection: Any) -> Iterator[None]:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")  # until the transaction, or its savepoint, is over
        yield
        return
    handle = connection.connection  # Django asks nothing more after an error
    [before] = handle.execute("PRAGMA query_only").fetchone()
    handle.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        handle.execute(f"PRAGMA query_only = {before}")


def ask(using: str, sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
    with looking(using) as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def counted(rows: QuerySet[Any]) -> int | None:
    """How many; None when counting takes too long."""
    try:
        with looking(rows.db):
            return rows.count()
    except FAILURES as error:
        if trouble(error, rows.db) is Trouble.TOO_SLOW:
            return None
        raise
