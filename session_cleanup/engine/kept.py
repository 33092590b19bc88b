"""The form of undo records: what one set of them holds, and the SQL that makes them of rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import connections
from django.db.models import Model

from session_cleanup.engine.columns import quoted, quoted_table
from session_cleanup.engine.rowtext import Value, dump_typed, format_composite, parse_composite
from session_cleanup.engine.sql import Sql
from session_cleanup.models import UndoRecord
from session_cleanup.policies import sealing


@dataclass(frozen=True)
class Kept:
    """Where the records of one set go, and what they hold."""

    model: type[Model]
    using: str
    set_id: int
    expires_at: datetime
    names: tuple[str, ...]  # the key first
    sealed: tuple[int, ...]  # places in a record

    @property
    def changed(self) -> tuple[str, ...]:
        """Of a change, the columns that changed."""
        return self.names[1:]

    @property
    def by_way_of_python(self) -> bool:
        """Whether the rows must be seen here before they are records."""
        return bool(self.sealed)

    def quoted(self, names: Iterable[str]) -> list[str]:
        """Columns of the table, for SQL with parameters."""
        return [f"{self.table}.{quoted(name)}" for name in names]

    @property
    def table(self) -> str:
        return quoted_table(self.model._meta.db_table, self.using)

    @property
    def row(self) -> str:
        """The SQL of a row as a record (PostgreSQL)."""
        return self.composite(self.quoted(self.names))

    @staticmethod
    def composite(values: Iterable[str]) -> str:
        return f"ROW({', '.join(values)})::text"

    def inserting(self, rows: str) -> Sql:
        """Insert the records that some SQL gives as `data`."""
        into = f"INSERT INTO {quoted_table(UndoRecord._meta.db_table, self.using)} (set_id, expires_at, data)"
        return f"{into} SELECT {self.set_id}, %s, data FROM ({rows}) made", (self._expires_at,)

    def insert(self, rows: Sequence[Sequence[Value]]) -> None:
        """Insert rows that are known here, their secrets encrypted."""
        connection = connections[self.using]
        if connection.vendor == "postgresql":
            sql, params = self.inserting("SELECT unnest(%s::text[]) AS data")
            texts: Any = [format_composite(self.seal(row)) for row in rows]
        else:
            sql, params = self.inserting("SELECT value AS data FROM json_each(%s)")
            texts = dump_typed([dump_typed(self.seal(row)) for row in rows])
        if rows:
            with connection.cursor() as cursor:
                cursor.execute(sql, [*params, texts])

    def insert_composites(self, rows: Iterable[str] | None) -> None:
        self.insert([parse_composite(row) for row in rows or ()])

    def seal(self, row: Sequence[Value]) -> list[Any]:
        """The row with its secrets encrypted."""
        sealed = list(row)
        for place in self.sealed:
            if row[place] is not None:
                sealed[place] = sealing.seal(dump_typed([row[place]]))
        return sealed

    @cached_property
    def _expires_at(self) -> Any:
        field: Any = UndoRecord._meta.get_field("expires_at")
        return field.get_db_prep_save(self.expires_at, connections[self.using])
