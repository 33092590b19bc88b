"""What the earlier jobs of a run have changed or deleted, as its later jobs must see it.

In one run a row is changed by at most one job, the first. Every selection and every effect takes its
rows from here, before it ranks or compares them, so that a preview (where nothing has happened yet)
and a run (where it has) ask the same question and get the same answer.
"""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, Field, Lookup, Model, QuerySet

from session_cleanup.models import Hold
from session_cleanup.models.history import plain

KEYS = object()  # stands for keys that are yet to be named


class AmongKeys(Lookup):
    """A key, or a foreign key, among many: sent as one value, an array on PostgreSQL, JSON on SQLite."""

    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        left, params = compiler.compile(self.lhs)
        field = plain(self.lhs.output_field)
        keys = self.rhs if self.rhs is KEYS else as_one_value(self.rhs, field, connection)
        if connection.vendor == "postgresql":
            return f"{left} = ANY(%s::{field.rel_db_type(connection)}[])", [*params, keys]
        return f"{left} IN (SELECT value FROM json_each(%s))", [*params, keys]


def as_one_value(keys: list[Any], field: Any, connection: Any) -> Any:
    """What is sent for the keys."""
    keys = _stored(keys, field, connection)
    if connection.vendor != "postgresql":
        return json.dumps(keys)
    if _kinds(keys) <= {int, UUID}:  # a literal without quotes is made ten times faster
        return "{" + ",".join(map(str, keys)) + "}"
    return keys


def _stored(keys: list[Any], field: Any, connection: Any) -> list[Any]:
    """The keys as the database holds them."""
    if type(field).__module__ == Field.__module__:  # Django's own: numbers and UUIDs stay what they are
        as_they_are = {int, UUID} if connection.features.has_native_uuid_field else {int}
        if _kinds(keys) <= as_they_are:
            return keys  # to prepare each would take longer than to delete its row
    return [field.get_db_prep_value(key, connection) for key in keys]


def _kinds(keys: list[Any]) -> set[type]:
    return set(map(type, keys))


Condition = Exists | AmongKeys


class Claims:
    """The claims of one run in one database."""

    def __init__(self, using: str, now: datetime) -> None:
        self.using = using
        self.now = now
        self._changed: dict[type[Model], list[Condition]] = {}
        self._deleted: dict[type[Model], list[Condition]] = {}

    def existing(self, model: type[Model]) -> QuerySet[Any]:
        """All rows in the table of `model`, hidden by a manager or not, but those an earlier job deletes."""
        return self._left(QuerySet(concrete(model), using=self.using))

    def reachable(self, model: type[Model]) -> QuerySet[Any]:
        """Those of them that Django sees when it cascades: what the base manager gives."""
        return self._left(model._base_manager.using(self.using))

    def candidates(self, model: type[Model]) -> QuerySet[Any]:
        """The rows of `model` that no earlier job has changed or deleted."""
        taken = self._changed.get(concrete(model), [])
        return self.reachable(model).filter(*(~condition for condition in taken))

    def _left(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(*(~gone for gone in self._deleted.get(concrete(rows.model), [])))

    def free(self, model: type[Model]) -> QuerySet[Any]:
        """The candidates that are not under a hold: what an effect may touch."""
        return self.candidates(model).filter(~Hold.objects.using(self.using).on(model, self.now))

    @property
    def made(self) -> bool:
        """Whether any rows are claimed."""
        return bool(self._changed or self._deleted)

    def on(self, model: type[Model]) -> bool:
        """Whether rows of `model` are claimed."""
        return concrete(model) in self._changed or concrete(model) in self._deleted

    def change(self, model: type[Model], taken: Condition) -> None:
        """Say that an earlier job has changed the rows of `model` of which `taken` is true."""
        self._changed.setdefault(concrete(model), []).append(taken)

    def delete(self, model: type[Model], gone: Condition) -> None:
        """Say that an earlier job deletes the rows of `model` of which `gone` is true."""
        self._deleted.setdefault(concrete(model), []).append(gone)


def concrete(model: type[Model]) -> type[Model]:
    """A proxy's rows are its concrete model's rows."""
    found = model._meta.concrete_model
    assert found is not None, f"{model} is abstract"
    return found
