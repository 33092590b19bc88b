"""A connection to nowhere: what is said to it becomes the text of a function of PostgreSQL.

A statement is heard with its parameters; some of them only stand for a variable of the function, which is
put in their places: RunClock, KEYS and `variable`. All others are written out as PostgreSQL writes them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.models.expressions import RawSQL
from django.utils import timezone
from psycopg import sql

from session_cleanup.engine.sql import Sql
from session_cleanup.policies.claims import KEYS

NOWHERE = "session_cleanup_nowhere"  # its alias, meanwhile
PLACE = re.compile("%s|%%")


class RunClock(datetime):
    """The run clock, or a moment that lies so far from it."""


CLOCK = RunClock(2000, 1, 1, tzinfo=UTC)


def variable(expression: str) -> Any:
    """A variable of the function, or an expression of them, as a value or in a condition."""
    return RawSQL(expression, ())


class Nowhere(DatabaseWrapper):
    """It is never connected. The statement with the number `hit` finds, or changes, one row, others none."""

    def __init__(self, hit: int | None) -> None:
        super().__init__({"OPTIONS": {}, "TIME_ZONE": None}, NOWHERE)
        self.in_atomic_block = True  # so that rows may be locked
        self.hit = hit
        self.heard: list[Sql] = []

    def ensure_connection(self) -> None:
        pass

    def cursor(self) -> Any:
        return Ear(self)


class Ear:
    """Its cursor."""

    def __init__(self, connection: Nowhere) -> None:
        self.connection = connection

    def __enter__(self) -> "Ear":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def close(self) -> None:
        pass

    def execute(self, statement: str, params: Any = ()) -> None:
        heard = self.connection.heard
        self.rowcount = int(len(heard) == self.connection.hit)
        heard.append((statement, tuple(params)))

    def fetchone(self) -> tuple[int]:
        return (self.rowcount,)


@contextmanager
def listening(hit: int | None = None) -> Iterator[list[Sql]]:
    """The statements that are executed meanwhile."""
    connections[NOWHERE] = connection = Nowhere(hit)
    try:
        yield connection.heard
    finally:
        del connections[NOWHERE]


def text(statement: Sql) -> str:
    """A statement as it stands in the function."""
    written, params = statement
    values = iter(params)
    return PLACE.sub(lambda found: "%" if found[0] == "%%" else _value(next(values)), written)


def _value(param: Any) -> str:
    if param is KEYS:
        return "due_keys"
    if isinstance(param, RunClock):
        since = (timezone.make_aware(param) if timezone.is_naive(param) else param) - CLOCK
        return f"run_clock + interval '{since.total_seconds():.6f} s'" if since else "run_clock"
    return sql.Literal(param).as_string(None)
