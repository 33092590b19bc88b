"""What a database says of its own tables. The vendors differ in their Catalog, and nowhere else."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import Lookup, Model

DELETE, UPDATE = "DELETE", "UPDATE"


@dataclass(frozen=True)
class Table:
    """A table by what its database knows it by, and by the name that it writes."""

    key: Any
    name: str


@dataclass(frozen=True)
class Index:
    """An index that can compare. A column that is an expression is None."""

    name: str
    columns: tuple[str | None, ...]
    is_valid: bool = True
    condition: str = ""

    def finds(self, columns: Sequence[str]) -> bool:
        """Whether it leads to the rows with given values, not all NULL, in `columns`."""
        first = set(self.columns[: len(columns)])
        whole = not self.condition or self.condition.strip("()").upper().endswith(" IS NOT NULL")
        return self.is_valid and whole and first == set(columns)


@dataclass(frozen=True)
class Reference:
    """A foreign key constraint."""

    name: str
    table: Table
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """How the database would answer a question."""

    lines: tuple[str, ...]
    index: str | None = None  # by which it reads the table that was asked for
    sorts: bool = False  # whether it has to find and sort all the rows before the first is there

    @property
    def walks(self) -> bool:
        """Whether it reads the rows in their order, and can stop after any of them."""
        return self.index is not None and not self.sorts


@dataclass(frozen=True)
class Space:
    """Bytes that a table (or a file, where tables share one) takes, and of these, those without rows."""

    size: int
    unused: int
    how: str  # how this is known


@dataclass(frozen=True)
class DeadRows:
    """Rows of a table that no query can see any more."""

    live: int
    dead: int
    vacuumed_at: datetime | None
    is_vacuumed: bool  # whether the server does so by itself


@dataclass(frozen=True)
class Sample:
    """Some of the rows of a table that has `rows` of them, nearly."""

    rows: int
    holds: "Lookup[Any]"  # the condition "this row is in the sample"


class Catalog(ABC):
    """Questions to one database. Each may raise DatabaseError."""

    concurrently: ClassVar[bool] = False  # whether an index can be built beside writers

    def __init__(self, using: str) -> None:
        self.using = using

    def table_of(self, model: type[Model]) -> Table | None:
        return self.table(model._meta.db_table)

    @abstractmethod
    def table(self, name: str) -> Table | None:
        """The table that Django calls `name`; None when there is none."""

    @abstractmethod
    def explain(self, sql: str, params: Any, table: Table, *, by_index: bool = False) -> Plan:
        """The plan of a statement that reads `table`.

        With `by_index` the one that keeps to an index, however few the rows are now.
        """

    @abstractmethod
    def indexes(self, table: Table) -> list[Index]: ...

    @abstractmethod
    def references(self, table: Table) -> list[Reference]:
        """The foreign keys that point at the table, known to Django or not."""

    @abstractmethod
    def triggers(self, table: Table, event: str) -> list[str]:
        """The names of the triggers that run on DELETE or on UPDATE."""

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """What decides how batches fare in a new connection, by name."""

    def space(self, table: Table) -> Space | None:
        """The space of one table; None where it is not known, or tables share a file."""
        return None

    def file(self) -> Space | None:
        """The space of the file that all tables share."""
        return None

    def dead_rows(self, table: Table) -> DeadRows | None:
        return None

    def sample(self, table: Table) -> Sample | None:
        """A sample of a large table; None where all its rows may as well be counted."""
        return None
