"""The records of one undo set, read: what their rows were, and whether their table still takes them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.models import (
    BinaryField,
    BooleanField,
    CharField,
    FloatField,
    IntegerField,
    JSONField,
    Model,
    QuerySet,
    TextField,
)

from session_cleanup.engine.columns import Column, columns_of
from session_cleanup.engine.rowtext import Value, load_typed, parse_composite
from session_cleanup.models import UndoRecord, UndoSet
from session_cleanup.policies import sealing

CHUNK = 1000
# What stands for a secret in a column that cannot be NULL.
EMPTY: list[tuple[Any, Value]] = [
    (JSONField, "{}"),
    ((CharField, TextField), ""),
    (BooleanField, 0),
    ((IntegerField, FloatField), 0),
    (BinaryField, ""),
]


@dataclass(frozen=True)
class Row:
    """A record, read: the key of its row as text, and the values that the set's columns name."""

    record: int
    key: str
    values: list[Value]


class Records:
    """The records of a set, and the table that their rows go back to. `problem` says why none can."""

    def __init__(self, saved: UndoSet, using: str) -> None:
        self.saved = saved
        self.using = using
        self.names: list[str] = [name for name, _ in saved.columns]
        self.postgresql = connections[using].vendor == "postgresql"
        self.problem = self._problem()

    @cached_property
    def model(self) -> type[Model]:
        return apps.get_model(self.saved.model)

    @cached_property
    def columns(self) -> dict[str, Column]:
        return columns_of(self.model._meta.db_table, self.using)

    @property
    def label(self) -> str:
        """What its rows are counted as: by model, references by column."""
        unlinked = self.saved.kind == UndoSet.Kind.UNLINKED
        return f"{self.saved.model}.{self.names[1]}" if unlinked else self.saved.model

    @property
    def deleted(self) -> bool:
        return self.saved.kind == UndoSet.Kind.DELETED

    @cached_property
    def references(self) -> list[Any]:
        """The foreign keys that the database checks, among the columns of the set."""
        fields: Iterable[Any] = self.model._meta.local_concrete_fields
        return [
            field for field in fields if getattr(field, "db_constraint", False) and field.column in self.names
        ]

    def value(self, row: Row, field: Any) -> Value:
        """What a reference held."""
        return row.values[self.names.index(field.column)]

    @property
    def records(self) -> QuerySet[UndoRecord]:
        """The index leads to those of one run: they expire at the same moment."""
        return UndoRecord.objects.using(self.using).filter(
            set_id=self.saved.pk, expires_at=self.saved.expires_at
        )

    def read(self, records: Iterable[UndoRecord]) -> tuple[list[Row], list[Row]]:
        """The rows of some records, and those that none of our keys opens."""
        rows: list[Row] = []
        closed: list[Row] = []
        for row in map(self._row, records):
            try:
                for place in self._sealed:
                    token = row.values[place]
                    if token is not None:
                        (row.values[place],) = load_typed(sealing.unseal(str(token)))
            except sealing.Sealed:
                closed.append(row)
            else:
                rows.append(row)
        return rows, closed

    def chunks(self) -> Iterator[list[UndoRecord]]:
        """All records of the set, a few at a time."""
        at = 0
        while found := list(self.records.filter(pk__gt=at).order_by("pk")[:CHUNK]):
            at = found[-1].pk
            yield found

    def closed(self, records: Iterable[UndoRecord]) -> list[Row]:
        """The rows with their secrets still encrypted."""
        return [self._row(record) for record in records]

    def _row(self, record: UndoRecord) -> Row:
        text = record.data
        values: list[Value] = [*parse_composite(text)] if self.postgresql else load_typed(text)
        return Row(record.pk, str(values[0]), values)

    @cached_property
    def _sealed(self) -> list[int]:
        """The places of secrets in a record."""
        places = [place for place, name in enumerate(self.names) if name in self.saved.sealed]
        return places if self.deleted else places + [place + len(self.names) - 1 for place in places]

    def _problem(self) -> str:
        try:
            model = self.model
        except LookupError:
            return f"the model {self.saved.model} no longer exists"
        if not self.columns:
            return f"the table {model._meta.db_table} no longer exists"
        for name in self.names:
            if name not in self.columns:
                return f"the column {name} no longer exists"
            if self.columns[name].generated:
                return f"the column {name} is generated now"
        known = {*self.names, *self.emptied}
        for name, each in self.columns.items():
            if self.deleted and each.required and not each.generated and name not in known:
                return f"the column {name} must have a value now, and has no default"
        return ""

    @cached_property
    def emptied(self) -> dict[str, Value]:
        """What stands in the secret columns that were left out, where they cannot be NULL."""
        found: dict[str, Value] = {}
        for name in self.saved.left_out if self.deleted else ():
            if name in self.columns and self.columns[name].required:
                field = next(each for each in self.model._meta.local_concrete_fields if each.column == name)
                found.update((name, value) for kind, value in EMPTY if isinstance(field, kind))
        return found
