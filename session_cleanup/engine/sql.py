"""Puts a queryset into SQL by itself, to be run many times, or as part of something larger."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Model, QuerySet
from django.db.models.sql import DeleteQuery, InsertQuery, UpdateQuery

Sql = tuple[str, tuple[Any, ...]]  # with its parameters
Places = Mapping[Any, Any]  # what to put in place of a parameter that only stands for one


class Prepared:
    """A question put into SQL once, to be asked often, each time with something else in its places."""

    def __init__(self, rows: QuerySet[Any]) -> None:
        self.using = rows.db
        self.compiler: Any = rows.query.get_compiler(rows.db)
        try:
            self.sql, self.params = self.compiler.as_sql()
        except EmptyResultSet:  # a condition that nothing meets
            self.sql = ""

    def ask(self, places: Places, *, most: int | None = None) -> list[tuple[Any, ...]]:
        """The values of the rows, or of the first so many of them."""
        if not self.sql:
            return []
        sql = self.sql if most is None else f"{self.sql} LIMIT {most:d}"
        with connections[self.using].cursor() as cursor:
            cursor.execute(sql, placed(self.params, places))
            return list(map(tuple, self.compiler.results_iter([cursor.fetchall()])))


def placed(params: Iterable[Any], places: Places) -> list[Any]:
    return [places.get(param, param) if type(param) is object else param for param in params]


def selecting(rows: QuerySet[Any]) -> Sql:
    return _compiled(rows.query, rows.db)


def deleting(rows: QuerySet[Any]) -> Sql:
    """A plain DELETE: nothing is collected, and nothing cascades but in the database."""
    return _compiled(_chained(rows, DeleteQuery), rows.db)


def inserting(row: Model, using: str) -> Sql:
    """Its values may be expressions. A key that it lacks is the database's to give."""
    fields = [field for field in row._meta.concrete_fields if not field.primary_key or row.pk is not None]
    query: Any = InsertQuery(type(row))
    query.insert_values(fields, [row])
    [(sql, params)] = query.get_compiler(using).as_sql()
    return sql, tuple(params)


def updating(rows: QuerySet[Any], values: Mapping[str, Any]) -> Sql:
    query = _chained(rows, UpdateQuery)
    query.add_update_values(values)
    return _compiled(query, rows.db)


def together(statements: Iterable[Sql], using: str) -> tuple[Any, ...] | None:
    """Execute the statements, on PostgreSQL in one round trip; gives the first row of the last one."""
    connection: Any = connections[using]
    on_postgresql = connection.vendor == "postgresql"
    if on_postgresql and connection.features.uses_server_side_binding:  # one statement, if it has parameters
        statements = [composed(statements, using)]
    elif on_postgresql:
        sqls, params = zip(*statements, strict=True)
        statements = [("; ".join(sqls), tuple(chain.from_iterable(params)))]
    with connection.cursor() as cursor:
        for sql, params in statements:
            cursor.execute(sql, params or None)
        while on_postgresql and cursor.nextset():
            pass
        return cursor.fetchone() if cursor.description else None


def composed(statements: Iterable[Sql], using: str) -> Sql:
    """The statements as one text for PostgreSQL with all values in it, to be made once and used often."""
    ops: Any = connections[using].ops
    return "; ".join(ops.compose_sql(*each) if each[1] else each[0] for each in statements), ()


def _chained(rows: QuerySet[Any], kind: Any) -> Any:
    query: Any = rows.query.chain(kind)
    query.clear_ordering(force=True)
    return query


def _compiled(query: Any, using: str) -> Sql:
    sql, params = query.get_compiler(using).as_sql()
    return sql, tuple(params)
