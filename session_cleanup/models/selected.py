"""Rows that are made of other rows in the database, without being seen here."""

from typing import Any

from django.db import connections
from django.db.models import Model, QuerySet


def inserting_selected(
    model: type[Model], rows: QuerySet[Any], **columns: Any
) -> tuple[str, tuple[Any, ...]]:
    """The statement that inserts a row for each of `rows`: by column an expression, as in `annotate`.

    A column that is not named needs a default of the database's.
    """
    connection: Any = connections[rows.db]
    sql, params = rows.values_list(*columns.values()).query.get_compiler(rows.db).as_sql()
    quote = connection.ops.quote_name
    fields: list[Any] = [model._meta.get_field(name) for name in columns]
    into = ", ".join(quote(field.column) for field in fields)
    return f"INSERT INTO {quote(model._meta.db_table)} ({into}) {sql}", tuple(params)
