"""What the figures need of each database, beside what Django brings."""

from typing import Any

from django.db.models import BooleanField, DateField, Func, IntegerField


class Day(Func):
    """The day of a moment, in UTC. Django's own TruncDate takes twice as long in PostgreSQL."""

    output_field = DateField()
    template = "(%(expressions)s AT TIME ZONE INTERVAL '0')::date"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template="substr(%(expressions)s, 1, 10)", **context)


class StoredBytes(Func):
    """Bytes that a value takes where it is stored, by PostgreSQL compressed perhaps."""

    output_field = IntegerField()
    function = "pg_column_size"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(
            compiler, connection, template="length(CAST(%(expressions)s AS blob))", **context
        )


class IsPacked(Func):
    """Whether a JSON document is a packed one."""

    output_field = BooleanField()
    template = (
        "(jsonb_typeof(%(expressions)s) = 'string' AND starts_with(%(expressions)s #>> '{}', 'packed:'))"
    )

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "(substr(%(expressions)s, 1, 8) = '\"packed:')"
        return super().as_sql(compiler, connection, template=template, **context)


class IsPlain(Func):
    """Whether a JSON document is an object or a list: neither packed nor encrypted."""

    output_field = BooleanField()
    template = (
        "(jsonb_typeof(%(expressions)s) IN ('object', 'array')"
        " AND NOT jsonb_exists(%(expressions)s, 'encrypted'))"
    )

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = (
            "(substr(%(expressions)s, 1, 1) IN ('{', '[')"
            " AND json_type(%(expressions)s, '$.encrypted') IS NULL)"
        )
        return super().as_sql(compiler, connection, template=template, **context)
