"""How a change of a series or of a session begins: with the lock on its row."""

from typing import TypeVar

from django.db import connections
from django.db.models import F, QuerySet

from session_cleanup.models import Session, SessionSeries

Row = TypeVar("Row", Session, SessionSeries)


def first_locked(rows: "QuerySet[Row]") -> Row | None:
    """The row, locked as long as the transaction lasts, in its newest version; None if it is gone.

    SQLite locks no rows: the file is locked there by a write that changes nothing. A transaction that had
    only read until then would be refused its first write, should another have written meanwhile.
    """
    if not connections[rows.db].features.has_select_for_update:
        rows.update(updated_at=F("updated_at"))
    return rows.select_for_update(no_key=True).first()
