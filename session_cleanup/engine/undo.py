"""Writes what a job deletes or changes into undo records, in the transaction that does it.

Why no row goes that is not recorded. On PostgreSQL one statement does both: the records are made of what
the DELETE or the UPDATE itself returns (`WITH gone AS (DELETE … RETURNING …) INSERT …`); before Django's
collector deletes rows by their keys, exactly these rows are locked and recorded. On SQLite nobody else
writes between reading the rows and deleting them. What is encrypted passes through Python on its way from
the one statement to the other, in the same transaction.

The sets, which say what columns the records have, are committed before the first batch. One that stays
without records expires like the others.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connections, transaction
from django.db.models import Model, QuerySet, TextField
from django.db.models.expressions import RawSQL

from session_cleanup.engine import cascades
from session_cleanup.engine.at_once import ROWS, Part, Statement
from session_cleanup.engine.cascades import Edge
from session_cleanup.engine.columns import columns_of
from session_cleanup.engine.kept import Kept
from session_cleanup.engine.rowtext import LOSSLESS, Value, as_read, dump_typed
from session_cleanup.engine.sql import Sql, selecting
from session_cleanup.engine.writing import Kind, Rows, Writer, Written, written
from session_cleanup.models import JobRun, UndoSet
from session_cleanup.models.undo import expiry
from session_cleanup.policies import sealing
from session_cleanup.policies.actions import Values
from session_cleanup.policies.claims import Claims, concrete
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.secrets import secret_fields


class Undo(Writer):
    """Keeps what a job run deletes and changes."""

    keeps = True

    def __init__(self, policy: Policy, claims: Claims, record: JobRun) -> None:
        self.policy = policy
        self.using = claims.using
        self.expires_at = expiry(claims.now, policy.keep)
        self.record = record
        self.sets: dict[Written, Kept] = {}
        self.postgresql = connections[self.using].vendor == "postgresql"
        self.opening = [(LOSSLESS, ())] if self.postgresql else []

    def prepare(self) -> bool:
        if self.sets:
            return False
        with transaction.atomic(using=self.using):
            self.sets = {each: self._make(*each) for each in written(self.policy)}
        return True

    def delete(self, rows: Rows) -> int:
        if rows.query.is_empty():
            return 0
        kept = self.deleted(rows.model)
        if self.postgresql:
            return _in_one_statement(rows, None, kept)
        kept.insert(_read(kept, *_named_by(rows)))
        return super().delete(rows)

    def update(self, rows: Rows, values: Values) -> int:
        return self._change(rows, values, self.updated(rows.model))

    def unlink(self, rows: Rows, edge: Edge) -> None:
        self._change(rows, {edge.field.name: edge.replacement}, self.unlinked(edge))

    def deleted(self, model: type[Model]) -> Kept:
        return self.sets[concrete(model), Kind.DELETED, ()]

    def updated(self, model: type[Model]) -> Kept:
        model = concrete(model)
        return next(kept for key, kept in self.sets.items() if key[:2] == (model, Kind.UPDATED))

    def unlinked(self, edge: Edge) -> Kept:
        return self.sets[edge.child, Kind.UNLINKED, (str(edge.field.column),)]

    def keep_deleted(self, model: type[Model], keys: Iterable[Any]) -> None:
        """Record rows that Django's collector is about to delete, and lock them for that."""
        kept = self.deleted(model)
        for rows in self._by_key(kept, keys):
            self._keep(kept, rows, [], [])

    def keep_unlinked(self, field: Any, keys: Iterable[Any], value: Any) -> None:
        """The same for rows of which it is about to replace a reference with a value."""
        kept = self.sets[concrete(field.model), Kind.UNLINKED, (str(field.column),)]
        if hasattr(value, "prepare_database_save"):
            value = value.prepare_database_save(field)
        connection = connections[self.using]
        value = field.get_db_prep_save(value, connection)
        for rows in self._by_key(kept, keys):
            self._keep(kept, rows, [f"%s::{field.db_type(connection)}"], [value])

    def _by_key(self, kept: Kept, keys: Iterable[Any]) -> Iterator[Rows]:
        wanted = list(keys)
        for start in range(0, len(wanted), cascades.CHUNK):
            yield QuerySet(kept.model, using=self.using).filter(pk__in=wanted[start : start + cascades.CHUNK])

    def _keep(self, kept: Kept, rows: Rows, more: list[str], values: list[Any]) -> None:
        """Record rows as they are, followed by more values."""
        if not self.postgresql:
            kept.insert([[*row, *values] for row in _read(kept, *_named_by(rows))])
            return
        row = kept.composite([*kept.quoted(kept.names), *more])
        data = RawSQL(row, values, TextField())
        locked, params = selecting(rows.order_by().select_for_update().annotate(data=data).values("data"))
        with connections[self.using].cursor() as cursor:
            if kept.by_way_of_python:
                cursor.execute(locked, params)
                kept.insert_composites(row for (row,) in cursor.fetchall())
            else:
                sql, before = kept.inserting(locked)
                cursor.execute(sql, [*before, *params])

    def _change(self, rows: Rows, values: Values, kept: Kept) -> int:
        if rows.query.is_empty():
            return 0
        if self.postgresql:
            return _in_one_statement(rows, values, kept)
        before = _read(kept, *_named_by(rows))
        changed = rows.update(**values)
        after = _read(kept, "SELECT value FROM json_each(%s)", [dump_typed([row[0] for row in before])])
        kept.insert([[*was, *now[1:]] for was, now in zip(before, after, strict=True)])
        return changed

    def _make(self, model: type[Model], kind: Kind, changing: tuple[str, ...]) -> Kept:
        meta = model._meta
        known = columns_of(meta.db_table, self.using)
        key = str(meta.pk.column)
        secret = {str(field.column) for field in secret_fields(self.policy, model)}
        names = changing or [name for name, each in known.items() if not each.generated]
        left_out = [name for name in names if name in secret and not sealing.has_keys()]
        names = [key, *(name for name in names if name != key and name not in left_out)]
        places = [place for place, name in enumerate(names) if name in secret]
        if changing:
            places += [place + len(names) - 1 for place in places]
        saved = UndoSet(
            run_id=self.record.run_id,
            job=self.policy.name,
            model=meta.label,
            kind=kind,
            columns=[[name, known[name].type] for name in names],
            sealed=[name for name in names if name in secret],
            left_out=left_out,
            expires_at=self.expires_at,
        )
        place = {"model": model, "using": self.using, "expires_at": self.expires_at}
        return self._keep_in(saved, **place, names=tuple(names), sealed=tuple(places))

    def _keep_in(self, saved: UndoSet, **place: Any) -> Kept:
        saved.save(using=self.using)
        return Kept(set_id=saved.pk, **place)


def write_losslessly(using: str) -> None:
    """For the rest of the transaction."""
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute(LOSSLESS)


def _in_one_statement(rows: Rows, values: Values | None, kept: Kept) -> int:
    return Statement([Part(ROWS, rows, values, kept=kept)]).act()[1].changed


def _named_by(rows: Rows) -> Sql:
    return selecting(rows.order_by().values("pk"))


def _read(kept: Kept, keys: str, params: Sequence[Any]) -> list[list[Value]]:
    """The rows that SQL names by their keys, in the order of these, each value as SQLite stores it."""
    connection = connections[kept.using]
    key, *_ = kept.quoted(kept.names[:1])
    # With a plus before it a column has no declared type, by which Django would convert it.
    columns = ", ".join(f"+{each}" for each in kept.quoted(kept.names))
    handle: Any = connection.connection
    factory, handle.text_factory = handle.text_factory, as_read
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {columns} FROM {kept.table} WHERE {key} IN ({keys}) ORDER BY {key}", params
            )
            return [list(row) for row in cursor.fetchall()]
    finally:
        handle.text_factory = factory
