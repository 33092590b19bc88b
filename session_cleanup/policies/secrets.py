"""Which columns are secret: no undo record and no archive has them but encrypted."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model

from session_cleanup.policies.claims import concrete
from session_cleanup.policies.policy import Policy

ATTRIBUTE = "cleanup_secret"  # of a model: the names of its secret fields


def secret_fields(policy: Policy, model: type[Model]) -> list[Any]:
    """The fields of `model` that are secret."""
    named = [*getattr(model, ATTRIBUTE, ())]
    named += [name for at, name in _named(policy) if at == model._meta.label]
    return [model._meta.get_field(name) for name in dict.fromkeys(named)]


def secret_problems(policy: Policy) -> Iterator[str]:
    """What is wrong with the secrets that a policy names."""
    for label, name in _named(policy):
        try:
            model = apps.get_model(label)
        except (LookupError, ValueError):
            yield f"there is no model {label!r}"
        else:
            if problem := secret_problem(model, name):
                yield problem


def secret_problem(model: type[Model], name: object) -> str:
    """Why that name cannot be a secret of `model`; empty if it can."""
    try:
        field: Any = model._meta.get_field(str(name))
    except FieldDoesNotExist:
        return f"{model._meta.label} has no field {name!r}."
    if not field.concrete or field.primary_key or field.is_relation:
        return f"{name!r} is a key or a relation, without which no row could be restored."
    return ""


def _named(policy: Policy) -> Iterator[tuple[str, str]]:
    """(label of a model, name) of each."""
    own = concrete(policy.get_model())._meta.label
    for name in policy.secret:
        label, _, field = name.rpartition(".")
        yield label or own, field
