"""What the earlier jobs of a run have changed or deleted, as its later jobs must see it.

In one run a row is changed by at most one job, the first. Every selection and every effect takes its
rows from here, before it ranks or compares them, so that a preview (where nothing has happened yet)
and a run (where it has) ask the same question and get the same answer.
"""

from collections import defaultdict
from datetime import datetime
from typing import Any

from django.db.models import Exists, Model, OuterRef, QuerySet

from session_cleanup.models import Hold


class Claims:
    """The claims of one run in one database."""

    def __init__(self, using: str, now: datetime) -> None:
        self.using = using
        self.now = now
        self._changed: dict[type[Model], list[Exists]] = defaultdict(list)
        self._deleted: dict[type[Model], list[Exists]] = defaultdict(list)

    def existing(self, model: type[Model]) -> QuerySet[Any]:
        """All rows of `model` but those that an earlier job deletes."""
        rows: QuerySet[Any] = model._base_manager.using(self.using)
        return rows.filter(*(~gone for gone in self._deleted[concrete(model)]))

    def candidates(self, model: type[Model]) -> QuerySet[Any]:
        """The rows of `model` that no earlier job has changed or deleted."""
        return self.existing(model).filter(*(~taken for taken in self._changed[concrete(model)]))

    def free(self, model: type[Model]) -> QuerySet[Any]:
        """The candidates that are not under a hold: what an effect may touch."""
        return self.candidates(model).filter(~Hold.objects.using(self.using).on(model, self.now))

    def change(self, model: type[Model], taken: Exists) -> None:
        """Say that an earlier job has changed the rows of `model` that `taken` is true of."""
        self._changed[concrete(model)].append(taken)

    def delete(self, model: type[Model], rows: QuerySet[Any]) -> None:
        """Say that an earlier job deletes `rows` of `model`."""
        self._deleted[concrete(model)].append(Exists(rows.filter(pk=OuterRef("pk"))))


def concrete(model: type[Model]) -> type[Model]:
    """A proxy's rows are its concrete model's rows."""
    found = model._meta.concrete_model
    assert found is not None, f"{model} is abstract"
    return found
