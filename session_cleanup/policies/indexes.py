"""Which index leads a walk to the rows of a policy, as far as the models alone can tell."""

from collections.abc import Iterator
from typing import Any

from django.db.models import BooleanField, F, Index, Model, Q, UniqueConstraint

from session_cleanup.policies.conditions import column, column_of, facts, paths
from session_cleanup.policies.looking import Invalid
from session_cleanup.policies.policy import Policy


def fixed(policy: Policy, model: type[Model]) -> list[str]:
    """Columns that the condition fixes to one value, so that an index may begin with them."""
    known = facts(policy.where, model)
    found = [name for name, lookup, value in known if lookup == "exact" or (lookup == "isnull" and value)]
    return [column(name, model).name for name in found]


def wanted_index(policy: Policy, model: type[Model]) -> Index:
    """An index in whose order a run walks: fixed columns, those of the walk, the primary key.

    What must be NULL (or not), True or False becomes its condition: behind a column that is NULL,
    PostgreSQL does not know that the next one is in order, and SQLite not behind a boolean.
    """
    equal: list[str] = []
    condition: dict[str, Any] = {}
    for name, lookup, value in facts(policy.where, model):
        field = column(name, model)
        if lookup == "isnull":
            condition[f"{field.name}__isnull"] = value
        elif lookup == "exact" and isinstance(field, BooleanField):
            condition[field.name] = value
        elif lookup == "exact":
            equal.append(field.name)
    walked = [column(name, model).name for name in policy.select.columns]
    index = Index(fields=list(dict.fromkeys([*equal, *walked, model._meta.pk.name])))
    index.set_name_with_model(model)
    held = Q(**condition)
    if isinstance(policy.select, Invalid):
        held &= policy.select.suspect
    return Index(fields=index.fields, name=index.name, condition=held or None)


def goal(policy: Policy) -> str:
    """To what an index has to lead, as it is said in messages."""
    if isinstance(policy.select, Invalid):
        return f"the rows whose {policy.select.column!r} is to be looked into"
    return ", ".join(map(repr, policy.select.columns))


def as_code(index: Index) -> str:
    """As it is written in a model."""
    where = f", condition={_as_code(index.condition)}" if index.condition else ""
    return f"models.Index(fields={index.fields!r}{where}, name={index.name!r})"


def _as_code(condition: Q) -> str:
    if condition.connector == Q.AND and all(isinstance(child, tuple) for child in condition.children):
        parts: Any = condition.children
        return f"Q({', '.join(f'{name}={_value(value)}' for name, value in parts)})"
    sign = " & " if condition.connector == Q.AND else " | "
    nested = [child if isinstance(child, Q) else Q(child) for child in condition.children]
    return sign.join(f"({_as_code(q)})" if len(q.children) > 1 else _as_code(q) for q in nested)


def _value(value: Any) -> str:
    return f"models.F({column_of(value)!r})" if isinstance(value, F) else repr(value)


def served_by_index(policy: Policy, model: type[Model]) -> bool:
    """Whether some declared index leads to the columns of the walk, after columns that are fixed.

    A walk in the order of the primary key that looks into few rows needs one that holds only those.
    """
    meta = model._meta
    select = policy.select
    if isinstance(select, Invalid):
        deciding = {select.verdict, f"{select.checked_at}__isnull"}
        return any(index.condition and deciding <= set(paths(index.condition)) for index in meta.indexes)
    walked = [column(name, model) for name in select.columns]
    if len(walked) == 1 and (walked[0].primary_key or walked[0].unique or walked[0].db_index):
        return True
    first = set(fixed(policy, model)) - {walked[-1].name}
    wanted = [field.name for field in walked if field.name not in first]
    unique = [each for each in meta.constraints if isinstance(each, UniqueConstraint)]
    whole = [each for each in [*meta.indexes, *unique] if _holds_all(each.condition, policy, model)]
    for fields in [*(list(each.fields) for each in whole), *map(list, meta.unique_together)]:
        names = [column(name.lstrip("-"), model).name for name in fields]
        if [name for name in names if name not in first][: len(wanted)] == wanted:
            return True
    return False


def _holds_all(condition: Q | None, policy: Policy, model: type[Model]) -> bool:
    """Whether every row that is due meets the condition of an index, as far as can be seen."""
    if condition is None:
        return True
    parts = list(_parts(policy.where))
    known = list(facts(policy.where, model))
    known += [(column(name, model).attname, "isnull", False) for name in policy.select.needed]
    for part in _parts(condition):
        told = list(facts(Q(part), model))
        if part not in parts and not (told and all(fact in known for fact in told)):
            return False
    return True


def _parts(where: Q) -> Iterator[Any]:
    """What must hold, each by itself, for `where` to hold."""
    if where.negated or (where.connector != Q.AND and len(where.children) > 1):
        yield where
        return
    for child in where.children:
        if isinstance(child, Q):
            yield from _parts(child)
        else:
            yield child
