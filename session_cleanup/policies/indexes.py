"""Which index leads a walk to the rows of a policy, as far as the models alone can tell."""

from typing import Any

from django.db.models import BooleanField, Index, Model, Q, UniqueConstraint

from session_cleanup.policies.conditions import column, facts
from session_cleanup.policies.policy import Policy


def fixed(policy: Policy, model: type[Model]) -> list[str]:
    """Columns that the condition fixes to one value, so that an index may begin with them."""
    known = facts(policy.where, model)
    found = [name for name, lookup, value in known if lookup == "exact" or (lookup == "isnull" and value)]
    return [column(name, model).name for name in found]


def wanted_index(policy: Policy, model: type[Model]) -> Index:
    """An index in whose order a run walks: fixed columns, the clock, the primary key.

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
    walked = column(policy.select.column, model).name
    index = Index(fields=list(dict.fromkeys([*equal, walked, model._meta.pk.name])))
    index.set_name_with_model(model)
    return Index(fields=index.fields, name=index.name, condition=Q(**condition) if condition else None)


def as_code(index: Index) -> str:
    """As it is written in a model."""
    conditions: Any = index.condition.children if index.condition else []
    where = (
        f", condition=Q({', '.join(f'{name}={value}' for name, value in conditions)})" if conditions else ""
    )
    return f"models.Index(fields={index.fields!r}{where}, name={index.name!r})"


def served_by_index(policy: Policy, model: type[Model]) -> bool:
    """Whether some declared index leads to the column of the walk, after columns that are fixed."""
    meta = model._meta
    walked = column(policy.select.column, model)
    if walked.primary_key or walked.unique or walked.db_index:
        return True
    first = set(fixed(policy, model)) - {walked.name}
    indexes = [index.fields for index in meta.indexes] + [list(names) for names in meta.unique_together]
    indexes += [list(each.fields) for each in meta.constraints if isinstance(each, UniqueConstraint)]
    for fields in indexes:
        names = [column(name.lstrip("-"), model).name for name in fields]
        if next((name for name in names if name not in first), None) == walked.name:
            return True
    return False
