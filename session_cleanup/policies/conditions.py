"""What can be read off a condition without a database: facts it fixes, models it reads.

Everything here errs on the safe side: what cannot be proven is said to be unproven.
"""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, Model, Q

from session_cleanup.policies.actions import RunClock, Update, Values, is_constant
from session_cleanup.policies.selections import Aged, Orphaned, Selection

LOOKUPS = {"exact", "isnull", "in"}


def facts(where: Q) -> Iterator[tuple[str, str, Any]]:
    """(column, lookup, value) for each part that must hold for `where` to hold."""
    if where.negated or (where.connector != Q.AND and len(where.children) > 1):
        return
    for child in where.children:
        if isinstance(child, Q):
            yield from facts(child)
        elif isinstance(child, tuple):
            path, value = child
            column, _, lookup = path.partition("__")
            if not lookup:
                yield column, *(("isnull", True) if value is None else ("exact", value))
            elif lookup in LOOKUPS:
                yield column, lookup, value


def falsifies(action: Update, where: Q, select: Selection, model: type[Model]) -> bool:
    """Whether `action` provably makes its own rows stop being due, so that no run repeats it."""
    if isinstance(select, Aged) and select.clock in action.values:
        new = action.values[select.clock]
        if new is None or isinstance(new, RunClock):
            return True
    if isinstance(select, Orphaned) and action.values.get(select.reference, ...) is None:
        return True
    return any(
        _contradicts(lookup, value, action.values[column], select, model)
        for column, lookup, value in facts(where)
        if column in action.values
    )


def _contradicts(lookup: str, old: Any, new: Any, select: Selection, model: type[Model]) -> bool:
    if lookup == "isnull":
        return _never_null(new, select, model) if old else new is None
    if not is_constant(new) or not is_constant(old):
        return False
    return bool(new != old) if lookup == "exact" else all(new != value for value in old)


def _never_null(new: Any, select: Selection, model: type[Model]) -> bool:
    if isinstance(new, F):
        return new.name == select.column or not model._meta.get_field(new.name).null
    return isinstance(new, RunClock) or (is_constant(new) and new is not None)


def disjoint(first: Q, second: Q, written: Values) -> bool:
    """Whether no row can meet both conditions, even after the columns in `written` have changed."""
    fixed = {column: value for column, lookup, value in facts(first) if lookup == "exact"}
    return any(
        lookup == "exact" and column in fixed and column not in written and fixed[column] != value
        for column, lookup, value in facts(second)
    )


def paths(where: Q) -> Iterator[str | None]:
    """The field paths that `where` reads; None for each part that cannot be seen into."""
    for child in where.children:
        if isinstance(child, Q):
            yield from paths(child)
        elif isinstance(child, tuple):
            yield child[0]
            if not is_constant(child[1]):
                yield child[1].name if isinstance(child[1], F) else None
        else:
            yield None


def foreign_reads(where: Q, model: type[Model]) -> set[type[Model] | None]:
    """Models other than its own table that `where` reads; None among them: some that cannot be seen."""
    found: set[type[Model] | None] = set()
    for path in paths(where):
        if path is None:
            found.add(None)
            continue
        at = model
        for index, part in enumerate(path.split("__")):
            try:
                field = at._meta.get_field(at._meta.pk.name if part == "pk" else part)
            except FieldDoesNotExist:
                break  # a lookup or a transform
            last = index == path.count("__")
            if not field.is_relation or (last and field.concrete):
                break
            at = field.related_model
            found.add(at)
    return found
