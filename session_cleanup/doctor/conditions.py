"""Conditions that may pass by rows which a person would call due."""

from collections.abc import Iterator

from django.core.exceptions import FieldDoesNotExist
from django.db.models import JSONField, Model

from session_cleanup.doctor.case import Case
from session_cleanup.doctor.findings import Finding, Severity
from session_cleanup.policies.conditions import paths


def of_conditions(case: Case) -> Iterator[Finding]:
    for path in dict.fromkeys(paths(case.policy.where)):
        if path is not None and (name := _json_column(path, case.policy.get_model())):
            yield Finding(
                "json-path",
                Severity.ADVICE,
                case.policy.name,
                f"Its condition {path!r} looks into the JSON column {name!r}.",
                "It does not see into a payload that was packed, or that lacks the key: such rows are never "
                "due (under a NOT, always).",
                "Keep what decides in a column of its own, with an index.",
            )


def _json_column(path: str, model: type[Model]) -> str | None:
    """The JSON column that a lookup reads the inside of."""
    at = model
    parts = path.split("__")
    for place, part in enumerate(parts):
        try:
            field = at._meta.get_field(at._meta.pk.name if part == "pk" else part)
        except FieldDoesNotExist:
            return None
        if isinstance(field, JSONField):
            return part if parts[place + 1 :] not in ([], ["isnull"], ["exact"], ["in"]) else None
        if not field.is_relation or field.related_model is None:
            return None
        at = field.related_model
    return None
