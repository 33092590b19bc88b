"""One statement that acts on a part of a table and on all that hangs on it (PostgreSQL).

Why it is safe: each row, of whichever table, is judged as it is acted on, in its newest version. A child
that was moved to another parent meanwhile stays. What refers to a row since the statement began is not
seen by it: a delete then fails at its foreign key, as a whole, and goes by keys; of an update, the sweep
finds it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import F, Lookup, Model, Q, QuerySet

from session_cleanup.engine.sql import Sql, deleting, updating
from session_cleanup.policies.actions import Effect, Update, related_by, resolved
from session_cleanup.policies.claims import Claims

ROWS = "acted_on"  # the first part


class LeadsTo(Lookup):
    """A foreign key that leads to a row on which the part of that name has acted."""

    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        left, params = compiler.compile(self.lhs)
        return f"{left} IN (SELECT key FROM {self.rhs})", params


@dataclass(frozen=True)
class Part:
    """One write of a statement: rows of one model, deleted, or given new values."""

    name: str  # for LeadsTo
    rows: QuerySet[Any]
    values: Mapping[str, Any] | None  # None: delete them
    counted: bool = True

    def as_sql(self) -> Sql:
        return deleting(self.rows) if self.values is None else updating(self.rows, self.values)

    @property
    def key(self) -> str:
        meta = self.rows.model._meta
        quote = connections[self.rows.db].ops.quote_name
        return f"{quote(meta.db_table)}.{quote(str(meta.pk.column))}"


class Statement:
    """Parts as one statement, put into SQL once, for as many slices as there are."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.using = parts[0].rows.db
        self.sql, self.params = parts[0].as_sql()
        if len(parts) > 1:
            written = [f"{part.name} AS ({sql} RETURNING {part.key} AS key)" for part, sql in self._written()]
            counts = ", ".join(f"(SELECT count(*) FROM {part.name})" for part in parts)
            keys = f"(SELECT array_agg(key) FROM {parts[0].name})"
            self.sql = f"WITH {', '.join(written)} SELECT {keys}, {counts}"

    def _written(self) -> Iterator[tuple[Part, str]]:
        yield self.parts[0], self.sql
        for part in self.parts[1:]:
            sql, params = part.as_sql()
            self.params += params
            yield part, sql

    def act(self, places: Mapping[Any, Any] | None = None) -> tuple[list[Any], Effect]:
        """Do it; gives the keys of the rows of the first part, if there are others, and what was done.

        `places` has what to put in place of a parameter that only stands for one.
        """
        known = places or {}
        params = [known.get(param, param) if type(param) is object else param for param in self.params]
        with connections[self.using].cursor() as cursor:
            cursor.execute(self.sql, params)
            if len(self.parts) == 1:
                return [], Effect(cursor.rowcount)
            done, changed, *found = cursor.fetchone()
        related = Counter[str]()
        for part, count in zip(self.parts[1:], found, strict=True):
            related[part.rows.model._meta.label] += count * part.counted
        return done or [], Effect(changed, +related)


def can_update(action: Update, model: type[Model]) -> bool:
    """Whether the rows that a relation leads to can be changed by the same statement."""
    fields = [related_by(model, name).field for name in action.related]
    return all(field.target_field.primary_key and field.model is not model for field in fields)


def parts_of(action: Update, rows: QuerySet[Any], claims: Claims) -> list[Part]:
    """The parts of an update with its effects on related rows."""
    effects = action.effects(rows, claims, lambda field: Q(LeadsTo(F(field.attname), ROWS)))
    parts = [Part(ROWS, rows, resolved(action.values, claims))]
    for number, (children, values) in enumerate(effects):
        parts.append(Part(f"related{number}", children, resolved(values, claims)))
    return parts
