"""The columns that a table really has, as the catalog of its database tells them."""

from dataclasses import dataclass

from django.db import connections

POSTGRESQL = """
SELECT attname, format_type(atttypid, -1), attgenerated <> '', attnotnull,
       atthasdef OR attidentity <> '', pg_get_serial_sequence(%s, attname)
FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
VIRTUAL, STORED = 2, 3  # what "hidden" says of a generated column


@dataclass(frozen=True)
class Column:
    """One column. `type` is written without length or precision, to cast a text to."""

    name: str
    type: str
    generated: bool
    required: bool  # NOT NULL, and nothing is filled in where an INSERT does not name it
    not_null: bool
    sequence: str | None = None  # that its numbers come from


def quoted(name: str) -> str:
    """The name of a column, as the catalog has it, for SQL with parameters."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def quoted_table(table: str, using: str) -> str:
    """The name of a table, as a model has it."""
    return connections[using].ops.quote_name(table).replace("%", "%%")


def columns_of(table: str, using: str) -> dict[str, Column]:
    """By name; none if there is no such table."""
    connection = connections[using]
    quoted = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(POSTGRESQL, [quoted, quoted])
            return {
                name: Column(name, kind, generated, not_null and not filled, not_null, sequence)
                for name, kind, generated, not_null, filled, sequence in cursor.fetchall()
            }
        cursor.execute(f"PRAGMA table_xinfo({quoted})")
        return {
            name: Column(
                name,
                kind,
                hidden in (VIRTUAL, STORED),
                required=bool(not_null) and default is None and not key,
                not_null=bool(not_null),
            )
            for _, name, kind, not_null, default, key, hidden in cursor.fetchall()
        }
