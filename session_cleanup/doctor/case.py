"""One policy in its database, and the tables that its runs reach."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Model

from session_cleanup.doctor.catalog import Catalog, Table
from session_cleanup.engine import cascades
from session_cleanup.policies.actions import Delete, Update
from session_cleanup.policies.claims import Claims, concrete
from session_cleanup.policies.policy import Policy


@dataclass(frozen=True)
class Case:
    policy: Policy
    claims: Claims
    catalog: Catalog

    @property
    def using(self) -> str:
        return self.claims.using

    @cached_property
    def model(self) -> type[Model]:
        return concrete(self.policy.get_model())

    @cached_property
    def table(self) -> Table:
        return self.table_of(self.model)

    def table_of(self, model: type[Model]) -> Table:
        found = self.catalog.table_of(model)
        assert found is not None, "a case whose tables are not all there is not examined"
        return found

    @cached_property
    def deleted(self) -> list[type[Model]]:
        """The models of which a run deletes rows, parents that they inherit from included."""
        if not isinstance(self.policy.action, Delete):
            return []
        gone = cascades.closure(self.model)
        return _sorted(gone | {parent for model in gone for parent in model._meta.all_parents})

    @cached_property
    def updated(self) -> list[type[Model]]:
        """The models of which a run changes rows."""
        action = self.policy.action
        if isinstance(action, Update):
            return _sorted({self.model, *action.related_models(self.model)})
        return _sorted({edge.child for model in self.deleted for edge in cascades.nulling_edges(model)})

    @cached_property
    def needed(self) -> list[type[Model]]:
        """The models whose tables must be there."""
        protecting = {edge.child for model in self.deleted for edge in cascades.edges(model)}
        return _sorted({self.model, *self.deleted, *self.updated, *protecting})


def _sorted(models: set[Any]) -> list[type[Model]]:
    return sorted(models, key=lambda model: str(model._meta.label))
