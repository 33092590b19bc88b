"""One statement that acts on a part of a table and on all that hangs on it (PostgreSQL).

Why it is safe: each row, of whichever table, is judged as it is acted on, in its newest version. A child
that was moved to another parent meanwhile stays. What refers to a row since the statement began is not
seen by it: a delete then fails at its foreign key, as a whole, and goes by keys; of an update, the sweep
finds it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import connections
from django.db.models import F, Lookup, Model, Q, QuerySet
from django.db.models.expressions import RawSQL

from session_cleanup.engine.kept import Kept
from session_cleanup.engine.sql import Places, Sql, deleting, placed, selecting, updating
from session_cleanup.policies.actions import Effect, Update, related_by, resolved
from session_cleanup.policies.claims import Claims

ROWS = "acted_on"  # the first part
NOTHING: Places = {}


class LeadsTo(Lookup):
    """A key, or a foreign key, of a row on which the part of that name has acted."""

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
    kept: Kept | None = None  # the undo records it makes

    def written(self) -> Iterator[tuple[str, Sql]]:
        """What it adds to the WITH, by name: rows that are changed are locked as they were before."""
        rows, returned = self.rows, ""
        if self.kept and self.values is None:
            returned = f", {self.kept.row} AS data"
        elif self.kept:
            columns = [RawSQL(each, ()) for each in self.kept.quoted(self.kept.changed)]
            before = rows.order_by().select_for_update(no_key=True).values_list("pk", *columns)
            names = ", ".join(["key", *(f"b{n}" for n in range(len(columns)))])
            yield f"{self.name}_before ({names})", selecting(before)
            rows = QuerySet(rows.model, using=rows.db).filter(LeadsTo(F("pk"), f"{self.name}_before"))
            after = enumerate(self.kept.quoted(self.kept.changed))
            returned = "".join(f", {each} AS a{n}" for n, each in after)
        sql, params = replace(self, rows=rows).as_sql()
        yield self.name, (f"{sql} RETURNING {self.key} AS key{returned}", params)
        if self.kept and not self.kept.by_way_of_python:
            yield f"{self.name}_kept", self.kept.inserting(self.records)

    @property
    def records(self) -> str:
        """The undo records of what it did."""
        if self.values is None or self.kept is None:
            return f"SELECT data FROM {self.name}"
        places = range(len(self.kept.changed))
        row = self.kept.composite(["key", *(f"b{n}" for n in places), *(f"a{n}" for n in places)])
        return f"SELECT {row} AS data FROM {self.name}_before JOIN {self.name} USING (key)"

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
        self.plain = len(parts) == 1 and parts[0].kept is None
        self.seen = [part for part in parts if part.kept and part.kept.by_way_of_python]
        if self.plain:
            self.sql, self.params = parts[0].as_sql()
            return
        written = dict(one for part in parts for one in part.written())
        self.params = tuple(param for _, params in written.values() for param in params)
        wanted = [f"(SELECT array_agg(key) FROM {ROWS})" if len(parts) > 1 else "NULL"]
        wanted += [f"(SELECT count(*) FROM {part.name})" for part in parts]
        wanted += [f"(SELECT array_agg(data) FROM ({part.records}) made)" for part in self.seen]
        named = ", ".join(f"{name} AS ({sql})" for name, (sql, _) in written.items())
        self.sql = f"WITH {named} SELECT {', '.join(wanted)}"

    def act(self, places: Places = NOTHING) -> tuple[list[Any], Effect]:
        """Do it; gives the keys of the rows of the first part, if there are others, and what was done."""
        with connections[self.using].cursor() as cursor:
            cursor.execute(self.sql, placed(self.params, places))
            if self.plain:
                return [], Effect(cursor.rowcount)
            done, changed, *found = cursor.fetchone()
        related = Counter[str]()
        for part, count in zip(self.parts[1:], found, strict=False):
            related[part.rows.model._meta.label] += count * part.counted
        for part, records in zip(self.seen, found[len(self.parts) - 1 :], strict=True):
            assert part.kept
            part.kept.insert_composites(records)
        return done or [], Effect(changed, +related)


def can_update(action: Update, model: type[Model]) -> bool:
    """Whether the rows that a relation leads to can be changed by the same statement."""
    fields = [related_by(model, name).field for name in action.related]
    return all(field.target_field.primary_key and field.model is not model for field in fields)


def parts_of(
    action: Update, rows: QuerySet[Any], claims: Claims, kept: Callable[[type[Model]], Kept | None]
) -> list[Part]:
    """The parts of an update with its effects on related rows."""
    effects = action.effects(rows, claims, lambda field: Q(LeadsTo(F(field.attname), ROWS)))
    parts = [Part(ROWS, rows, resolved(action.values, claims), kept=kept(rows.model))]
    for number, (children, values) in enumerate(effects):
        values = resolved(values, claims)
        parts.append(Part(f"related{number}", children, values, kept=kept(children.model)))
    return parts
