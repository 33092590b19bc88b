"""Puts some rows back, inside the transaction of their batch."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from django.db import transaction
from django.db.models import ForeignKey, Model

from session_cleanup.engine.kept import Kept
from session_cleanup.engine.putting_back import Target
from session_cleanup.engine.records import Row
from session_cleanup.models import UndoSet
from session_cleanup.policies.claims import concrete

Work = list[tuple[Target, Row]]
Left = list[tuple[Target, Row, str]]  # with the reason


class _Orphans(Exception):
    """Rows were written whose parent is missing: undo what was written, and leave them out."""


def put_back(work: Work, using: str, coming: set[type[Model]]) -> tuple[Work, Left]:
    """What could be put back, and what could not; rows whose parent is missing take others along."""
    left: Left = []
    while True:
        orphans: set[int] = set()
        try:
            with transaction.atomic(using=using):
                done, missed = _write(work)
                if orphans := _orphans(done, coming):
                    raise _Orphans
                return done, left + missed
        except _Orphans:
            left += [(target, row, "parent_gone") for target, row in work if row.record in orphans]
            work = [(target, row) for target, row in work if row.record not in orphans]


def _write(work: Work) -> tuple[Work, Left]:
    done: Work = []
    left: Left = []
    for target, rows in by_target(work):
        keys = target.insert(rows) if target.deleted else target.update(rows)
        missed = [row for row in rows if row.key not in keys]
        there = target.existing(missed) if missed else set()
        if target.deleted:
            left += [(target, row, "key_exists" if row.key in there else "unique") for row in missed]
        elif missed:
            keys |= target.having(missed, after=False)  # somebody has undone it already
            rest = [row for row in missed if row.key not in keys]
            left += [(target, row, "changed" if row.key in there else "gone") for row in rest]
        done += [(target, row) for row in rows if row.key in keys]
    return done, left


def _orphans(done: Work, coming: set[type[Model]]) -> set[int]:
    """The records whose row refers to one that is not there; what may still come is waited for."""
    found: set[int] = set()
    for target, rows in by_target(done):
        for field in target.references:
            keys = target.dangling(rows, field)
            dangling = [row for row in rows if row.key in keys]
            may_come = target.deleted and field.null and concrete(field.related_model) in coming
            if dangling and may_come:
                target.unlink(dangling, field)
                _remember(target, dangling, field)
            else:
                found |= {row.record for row in dangling}
    return found


def _remember(target: Target, rows: list[Row], field: "ForeignKey[Any, Any]") -> None:
    """Make records of references that are restored later."""
    saved = target.saved
    columns = [saved.columns[0], next(each for each in saved.columns if each[0] == field.column)]
    sets = UndoSet.objects.using(target.using).filter(run_id=saved.run_id, job=saved.job, model=saved.model)
    found = [each for each in sets.filter(kind=UndoSet.Kind.UNLINKED) if each.columns == columns]
    if not found:
        made = UndoSet(
            run_id=saved.run_id,
            job=saved.job,
            model=saved.model,
            expires_at=saved.expires_at,
            kind=UndoSet.Kind.UNLINKED,
            columns=columns,
        )
        made.save(using=target.using)
        found = [made]
    names = tuple(name for name, _ in columns)
    kept = Kept(target.model, target.using, found[0].pk, saved.expires_at, names, ())
    kept.insert([[row.values[0], target.value(row, field), None] for row in rows])


def by_target(work: Work) -> Iterator[tuple[Target, list[Row]]]:
    """In their order; two records of one row, which a run may change twice, come one after the other."""
    for target, pairs in groupby(work, key=lambda pair: pair[0]):
        rows: dict[str, Row] = {}
        for _, row in pairs:
            if row.key in rows:
                yield target, list(rows.values())
                rows = {}
            rows[row.key] = row
        yield target, list(rows.values())
