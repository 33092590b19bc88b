"""The statement that inserts sessions.

What is the same in all of them is said once, what differs comes as one JSON text, and what the series says
itself is taken from its row: much faster than to spell out each column of each session.
"""

import json
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.models import Lookup

from session_cleanup.models import Session, SessionSeries
from session_cleanup.models.history import as_stored

Sql = tuple[str, tuple[Any, ...]]
MADE = object()  # stands for the JSON text among the parameters of a statement
OF_SERIES = ("kind", "settings")


class Occurrence(NamedTuple):
    """What differs between the sessions of one run; named as in Session."""

    uid: UUID
    series_id: int
    title: str
    occurrence: datetime  # wall time
    starts_at: datetime
    expires_at: datetime
    visible_at: datetime
    ended_at: datetime | None
    end_reason: str
    is_detached: bool


class AmongMade(Lookup):
    """A uid among those in the JSON text. On PostgreSQL they are an array first: of a table without
    statistics the planner would read the whole index rather than look each of them up."""

    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        left, params = compiler.compile(self.lhs)
        uids = f"(SELECT {_item('uid', connection)} FROM {_each(connection)})"
        among = f"= ANY (ARRAY{uids})" if connection.vendor == "postgresql" else f"IN {uids}"
        return f"{left} {among}", [*params, self.rhs]


def inserting(now: datetime, using: str) -> Sql:
    """The statement that inserts the sessions of the JSON text, but those that their series have already."""
    connection: Any = connections[using]
    quote = connection.ops.quote_name
    moment = as_stored(now)
    same = {"is_active": False, "created_at": moment, "updated_at": moment, "last_activity_at": moment}
    values: dict[str, str] = {}
    params: list[Any] = []
    for field in Session._meta.concrete_fields:
        if field.primary_key:
            continue
        if field.attname in Occurrence._fields:
            value = _item(field.attname, connection)
        elif field.name in OF_SERIES:
            value = f"series.{quote(field.column)}"
        else:
            value = "%s" + _cast(field, connection)
            constant = same[field.name] if field.name in same else field.get_default()
            params.append(field.get_db_prep_save(constant, connection))
        values[quote(field.column)] = value
    series = quote(SessionSeries._meta.db_table)
    sql = (
        f"INSERT INTO {quote(Session._meta.db_table)} ({', '.join(values)}) "
        f"SELECT {', '.join(values.values())} FROM {_each(connection)} "
        f"JOIN {series} AS series ON series.id = {_item('series_id', connection)} "
        "WHERE true ON CONFLICT DO NOTHING"
    )
    return sql, (*params, MADE)


def as_json(rows: list[Occurrence], using: str) -> str:
    """The JSON text: its times and uids as the database holds them."""
    connection: Any = connections[using]
    if connection.vendor == "postgresql":
        return json.dumps(rows, default=str)
    moment = connection.ops.adapt_datetimefield_value
    return json.dumps(rows, default=lambda value: value.hex if isinstance(value, UUID) else moment(value))


def _each(connection: Any) -> str:
    on_postgresql = connection.vendor == "postgresql"
    return f"{'json_array_elements(%s::json)' if on_postgresql else 'json_each(%s)'} AS made"


def _item(name: str, connection: Any) -> str:
    place = Occurrence._fields.index(name)
    if connection.vendor != "postgresql":
        return f"json_extract(made.value, '$[{place}]')"
    field = next(each for each in Session._meta.concrete_fields if each.attname == name)
    return f"(made.value ->> {place}){_cast(field, connection)}"


def _cast(field: Any, connection: Any) -> str:
    return f"::{field.db_type(connection)}" if connection.vendor == "postgresql" else ""
