"""What can be read off a condition without a database: facts it fixes, models it reads.

Everything here errs on the safe side: what cannot be proven is said to be unproven.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import F, JSONField, Model, Q

from session_cleanup.packing.lookups import LOOKUPS as PACKING
from session_cleanup.policies.actions import RunClock, Update, Values, is_constant
from session_cleanup.policies.selections import Aged, Selection

LOOKUPS = {"exact", "isnull", "in"}
WHOLE = LOOKUPS | {lookup.lookup_name for lookup in PACKING}  # lookups of a JSON column as a whole


def facts(where: Q, model: type[Model]) -> Iterator[tuple[str, str, Any]]:
    """(attname, lookup, value) for each part that must hold for `where` to hold.

    Names and values are as the model's fields store them, so that `author=7`, `author_id="7"` and
    `author=<Author 7>` are one fact. What cannot be brought to that form is left out.
    """
    if where.negated or (where.connector != Q.AND and len(where.children) > 1):
        return
    for child in where.children:
        if isinstance(child, Q):
            yield from facts(child, model)
        elif isinstance(child, tuple):
            yield from _fact(child[0], child[1], model)


def _fact(path: str, value: Any, model: type[Model]) -> Iterator[tuple[str, str, Any]]:
    name, _, lookup = path.partition("__")
    lookup = lookup or "exact"
    if lookup not in LOOKUPS:
        return
    with suppress(FieldDoesNotExist, ValidationError, ValueError, TypeError):
        field = column(name, model)
        if lookup == "exact" and value is None:
            yield field.attname, "isnull", True
        elif lookup == "isnull":
            yield field.attname, lookup, bool(value)
        elif lookup == "in":
            yield field.attname, lookup, [as_kept(field, each) for each in value]
        else:
            yield field.attname, lookup, as_kept(field, value)


def column(name: str, model: type[Model]) -> Any:
    """The concrete field called `name`, an attname or "pk"; FieldDoesNotExist for anything else."""
    for field in model._meta.concrete_fields:
        if name in (field.name, field.attname) or (name == "pk" and field.primary_key):
            return field
    raise FieldDoesNotExist(f"{model._meta.label} has no column {name!r}.")


def as_kept(field: Any, value: Any) -> Any:
    """A constant as `field` keeps it, so that equal rows have equal values; expressions as they are."""
    if not is_constant(value) or value is None:
        return value
    while field.remote_field is not None:
        if isinstance(value, Model):
            value = getattr(value, field.target_field.attname)
        field = field.target_field
    if getattr(field, "db_collation", None):
        raise ValueError("what is equal is known only to the database's collation")
    return field.to_python(value)


def written(values: Values, model: type[Model]) -> dict[str, Any]:
    """What an action writes, by attname, constants as the fields keep them."""
    return {column(name, model).attname: as_kept(column(name, model), new) for name, new in values.items()}


def falsifies(action: Update, where: Q, select: Selection, model: type[Model]) -> bool:
    """Whether `action` provably makes its own rows stop being due, so that no run repeats it."""
    if action.condition():
        return True
    try:
        new = written(action.values, model)
    except ValueError:
        return False
    if isinstance(select, Aged) and isinstance(new.get(column(select.columns[0], model).attname), RunClock):
        return True
    if any(new.get(column(name, model).attname, ...) is None for name in select.needed):
        return True
    return any(
        _contradicts(lookup, value, new[name], select, model)
        for name, lookup, value in facts(where, model)
        if name in new
    )


def _contradicts(lookup: str, old: Any, new: Any, select: Selection, model: type[Model]) -> bool:
    if lookup == "isnull":
        return _never_null(new, select, model) if old else new is None
    if not is_constant(new) or new is None:
        return new is None
    if lookup == "exact":
        return is_constant(old) and bool(new != old)
    return all(is_constant(each) and new != each for each in old)


def _never_null(new: Any, select: Selection, model: type[Model]) -> bool:
    if isinstance(new, F):
        field = column(column_of(new), model)
        return not field.null or field in [column(name, model) for name in select.needed]
    return isinstance(new, RunClock) or (is_constant(new) and new is not None)


def column_of(reference: F) -> str:
    return str(reference.name)  # type: ignore[attr-defined]


def disjoint(first: Q, second: Q, values: Values, model: type[Model]) -> bool:
    """Whether no row can meet both conditions, even after the columns of `values` have changed."""
    changed = {column(name, model).attname for name in values}
    fixed = {name: value for name, lookup, value in facts(first, model) if lookup == "exact"}
    return any(
        lookup == "exact"
        and name in fixed
        and name not in changed
        and is_constant(value)
        and is_constant(fixed[name])
        and fixed[name] != value
        for name, lookup, value in facts(second, model)
    )


def paths(where: Q) -> Iterator[str | None]:
    """The field paths that `where` reads; None for each part that cannot be seen into."""
    for child in where.children:
        if isinstance(child, Q):
            yield from paths(child)
        elif isinstance(child, tuple):
            yield child[0]
            values = child[1] if isinstance(child[1], list | tuple | set) else [child[1]]
            for value in values:
                if not is_constant(value):
                    yield column_of(value) if isinstance(value, F) else None
        else:
            yield None


def json_read(path: str, model: type[Model]) -> JSONField | None:
    """The JSON column that a path reads the inside of."""
    at: Any = model
    parts = path.split("__")
    for place, part in enumerate(parts):
        try:
            field = at._meta.get_field(at._meta.pk.name if part == "pk" else part)
        except FieldDoesNotExist:
            return None
        if isinstance(field, JSONField):
            behind = parts[place + 1 :]
            return field if behind and behind[0] not in WHOLE else None
        if not field.is_relation or field.related_model is None:
            return None
        at = field.related_model
    return None


def foreign_reads(where: Q, model: type[Model]) -> set[type[Model] | None]:
    """Models other than its own table that `where` reads; None among them: some that cannot be seen."""
    found: set[type[Model] | None] = set()
    for path in paths(where):
        if path is None:
            found.add(None)
            continue
        at: Any = model
        through = None  # a foreign key by itself reads only its own column
        for part in path.split("__"):
            try:
                field = at._meta.get_field(at._meta.pk.name if part == "pk" else part)
            except FieldDoesNotExist:
                break  # a lookup or a transform
            if through is not None:
                found.add(through)
            if not field.is_relation:
                break
            at = through = field.related_model
            if not field.concrete or field.many_to_many:
                found.add(at)
    return found
