"""Puts a queryset into SQL by itself, to be run many times, or as part of something larger."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.db.models.sql import DeleteQuery, UpdateQuery

Sql = tuple[str, tuple[Any, ...]]  # with its parameters


def selecting(rows: QuerySet[Any]) -> Sql:
    return _compiled(rows.query, rows.db)


def deleting(rows: QuerySet[Any]) -> Sql:
    """A plain DELETE: nothing is collected, and nothing cascades but in the database."""
    return _compiled(_chained(rows, DeleteQuery), rows.db)


def updating(rows: QuerySet[Any], values: Mapping[str, Any]) -> Sql:
    query = _chained(rows, UpdateQuery)
    query.add_update_values(values)
    return _compiled(query, rows.db)


def _chained(rows: QuerySet[Any], kind: Any) -> Any:
    query: Any = rows.query.chain(kind)
    query.clear_ordering(force=True)
    return query


def _compiled(query: Any, using: str) -> Sql:
    sql, params = query.get_compiler(using).as_sql()
    return sql, tuple(params)
