"""Empties the tables after a test that committed: those that hold something, and no others.

Django empties all of them, and then makes every content type and permission again: most of the time of a
short test on PostgreSQL.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management.commands import flush

KEPT = {"django_content_type", "auth_permission"}  # as the migrations left them


def sql_flush(style: Any, connection: Any, **options: Any) -> list[str]:
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT
    quote = connection.ops.quote_name
    holding = (f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {quote(table)})" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(holding))
        full = [table for (table,) in cursor.fetchall()]
    options["allow_cascade"] = True  # what refers to them is emptied too, as it would be anyway
    return list(connection.ops.sql_flush(style, full, **options))


@pytest.fixture(scope="session", autouse=True)
def _only_what_holds_something() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "sql_flush", sql_flush)
        yield
