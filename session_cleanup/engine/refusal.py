"""Batches that cannot be done as a whole, and why a database refuses one."""

from typing import Any

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
    connections,
)

from session_cleanup.engine.connections import Trouble, trouble

LOCKED = "locked"
REASONS = {"23505": "unique", "23503": "parent_gone"}
SQLITE_REASONS = {"UNIQUE": "unique", "FOREIGN": "parent_gone"}


class Refused(Exception):
    """This batch cannot be done as a whole; `skip` is what to call the row that is to blame."""

    def __init__(self, skip: str) -> None:
        self.skip = skip


def why_refused(error: DatabaseError | InterfaceError, using: str) -> tuple[str, str]:
    """The reason of a refusal, and the name of what refused: never its words, which show the row."""
    cause: Any = error.__cause__
    if trouble(error, using) in (Trouble.LOCKED, Trouble.BUSY):
        return "locked", ""
    if not isinstance(error, IntegrityError | DataError | ProgrammingError):
        raise error
    if connections[using].vendor != "postgresql":
        said = str(error)
        return SQLITE_REASONS.get(said.split()[0], "refused"), said.partition(": ")[2]
    reason = REASONS.get(cause.sqlstate, "refused")
    return reason, cause.diag.constraint_name or cause.diag.column_name or f"SQLSTATE {cause.sqlstate}"
