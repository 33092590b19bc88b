"""A table as it lies on disk: in blocks on PostgreSQL, in the order of its rowids on SQLite."""

import random
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import OperationalError, connections
from django.db.models import F, Lookup, Model, QuerySet
from django.db.models.sql.datastructures import BaseTable

from session_cleanup.engine.sql import Places

SAMPLE = 200  # blocks, or places, that a sample looks at
ROWS_A_PLACE = 20
FIRST, LAST = object(), object()  # stand for the places of a slice that is yet to be named
# Filenode, blocks, and the most rows in a block: each takes 28 bytes at least, pointer and header.
HEAP = """
SELECT pg_relation_filenode(c.oid), pg_relation_size(c.oid) / current_setting('block_size')::int,
       current_setting('block_size')::int / 28
FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE c.oid = to_regclass(%s) AND c.relkind = 'r' AND a.amname = 'heap'
  AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid)
"""


class InSlice(Lookup):
    """Rows that lie in a slice, from its first place up to, but not including, its last.

    It is written `InSlice(F("pk"), (first, last))`: the alias of the table is read off the compiled key,
    because each version of Django and each kind of statement has its own way to quote it.
    """

    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        key, _ = compiler.compile(self.lhs)
        table = key.rpartition(".")[0]
        if connection.vendor == "postgresql":
            return f"({table}.ctid >= %s::tid AND {table}.ctid < %s::tid)", [tid(place) for place in self.rhs]
        return f"({table}.rowid >= %s AND {table}.rowid < %s)", self.rhs


def tid(place: Any) -> Any:
    """The first address in a block; what stands for one stays what it is."""
    return f"({place},0)" if isinstance(place, int) else place


@dataclass(frozen=True)
class Slice:
    """A part of the heap, from one place up to another, and the most rows that can lie there."""

    first: int
    last: int
    size: int  # in places
    rows: int

    def of(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(InSlice(F("pk"), (self.first, self.last)))

    @staticmethod
    def of_any(rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of a slice yet to be named: see `places`."""
        return rows.filter(InSlice(F("pk"), (FIRST, LAST)))

    def places(self, rows: QuerySet[Any]) -> Places:
        """What to put in the places of FIRST and LAST in the SQL of `of_any`."""
        written = tid if connections[rows.db].vendor == "postgresql" else int
        return {FIRST: written(self.first), LAST: written(self.last)}


class Sampled(BaseTable):
    """A table of which PostgreSQL reads only some blocks, chosen at random."""

    def __init__(self, table: BaseTable, percent: float) -> None:
        super().__init__(table.table_name, table.table_alias)
        self.percent = percent

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        sql, params = super().as_sql(compiler, connection)
        return f"{sql} TABLESAMPLE SYSTEM (%s) REPEATABLE (0)", [*params, self.percent]


class Heap:
    """What a walk along a heap must know of it."""

    begin: int
    end: int  # the first place behind the table, when it was looked at
    node: int | None  # another one: the table was written anew, and no place is what it was
    first: ClassVar[int]  # how many places the first slice takes
    small: ClassVar[int]  # places in a table below which no walk is worth a thought
    rows_a_place: int  # at the very most

    def after(self, place: int, size: int) -> int:
        """Where a slice of `size` places that begins at `place` ends."""
        raise NotImplementedError

    def share(self, due: QuerySet[Any], rows: QuerySet[Any]) -> float:
        """Which share of `rows`, about, is in `due`; from a sample of the table."""
        raise NotImplementedError


@dataclass
class Blocks(Heap):
    """The heap of a table on PostgreSQL."""

    node: int
    end: int
    rows_a_place: int
    begin: int = 0
    first: ClassVar[int] = 8
    small: ClassVar[int] = 64

    def after(self, place: int, size: int) -> int:
        return min(place + size, self.end)

    def share(self, due: QuerySet[Any], rows: QuerySet[Any]) -> float:
        percent = min(100, 100 * SAMPLE / max(self.end, 1))
        seen = _sampled(rows, percent).count()
        return _sampled(due, percent).count() / seen if seen else 0.0


@dataclass
class Rowids(Heap):
    """A table of SQLite, in the order of its rowids."""

    using: str
    table: str
    begin: int
    end: int
    node: int | None = None
    rows_a_place: int = 1
    first: ClassVar[int] = 200
    small: ClassVar[int] = 2000

    def after(self, place: int, size: int) -> int:
        with connections[self.using].cursor() as cursor:
            cursor.execute(
                f"SELECT rowid FROM {self.table} WHERE rowid >= %s ORDER BY rowid LIMIT 1 OFFSET %s",
                [place, size],
            )
            found = cursor.fetchone()
        return int(found[0]) if found else self.end

    def share(self, due: QuerySet[Any], rows: QuerySet[Any]) -> float:
        seen = matched = 0
        for _ in range(SAMPLE // 10):
            place = random.randrange(self.begin, self.end)
            here = InSlice(F("pk"), (place, self.after(place, ROWS_A_PLACE)))
            seen += rows.filter(here).count()
            matched += due.filter(here).count()
        return matched / seen if seen else 0.0


def heap_of(model: type[Model], using: str) -> Heap | None:
    """The heap of the model's table; None where rows cannot be found by their place.

    That is so for partitioned, inherited and foreign tables and for views, and for tables of SQLite
    WITHOUT ROWID.
    """
    connection = connections[using]
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(HEAP, [table])
            found = cursor.fetchone()
            return Blocks(*found) if found else None
        if any(str(field.column).lower() == "rowid" for field in model._meta.concrete_fields):
            return None
        try:
            cursor.execute(f"SELECT (SELECT min(rowid) FROM {table}), (SELECT max(rowid) FROM {table})")
        except OperationalError:  # it has no rowid
            return None
        begin, end = cursor.fetchone()
        return None if end is None else Rowids(using, table, begin, end + 1)


def _sampled(rows: QuerySet[Any], percent: float) -> QuerySet[Any]:
    rows = rows.order_by()
    alias = rows.query.get_initial_alias()
    table: Any = rows.query.alias_map[alias]
    rows.query.alias_map[alias] = Sampled(table, percent)
    return rows
