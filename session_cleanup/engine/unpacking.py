"""Takes compression back: for each column a job of its own, run like any other but named by no project."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Q, QuerySet

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models.packing import packed_columns
from session_cleanup.packing.fields import PackedJSONField
from session_cleanup.policies.claims import Claims, concrete
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.rewrites import Unpack
from session_cleanup.policies.selections import Selection


@dataclass(frozen=True)
class Every(Selection):
    """Every row, in the order of the primary key."""

    key: str

    @property
    def scans(self) -> bool:
        return True

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.key,)

    def narrow(
        self, rows: QuerySet[Any], claims: Claims, now: datetime, *, part: Q | None = None
    ) -> QuerySet[Any]:
        return rows


def jobs(columns: Sequence[str]) -> list[Policy]:
    """A job for each "app.Model.field", or for every packed column of the project."""
    fields = [_field(name) for name in columns] if columns else packed_columns()
    return [_job(field) for field in dict.fromkeys(fields)]


def _job(field: Any) -> Policy:
    meta = concrete(field.model)._meta
    name = re.sub(r"[^a-z0-9]+", "-", f"unpack-{meta.label_lower}-{field.name}".lower())
    return Policy(
        name=name[:64].strip("-"),
        model=meta.label,
        select=Every(meta.pk.name),
        action=Unpack(field.name),
        group="monthly",
    )


def _field(label: str) -> Any:
    model, _, name = label.rpartition(".")
    try:
        field = apps.get_model(model)._meta.get_field(name)
    except (LookupError, ValueError, FieldDoesNotExist):
        raise ConfigurationError(
            f"There is no column {label!r}. Write it as app.Model.field; the packed ones are "
            f"{', '.join(f'{each.model._meta.label}.{each.name}' for each in packed_columns())}."
        ) from None
    if not isinstance(field, PackedJSONField):
        raise ConfigurationError(
            f"{label} is a {type(field).__name__}, so no row of it is packed. Name a PackedJSONField."
        )
    return field
