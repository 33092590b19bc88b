"""What a job writes to, and the plain way of writing it; engine.undo has the one that keeps records."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from session_cleanup.engine import cascades, protection
from session_cleanup.engine.cascades import Edge
from session_cleanup.engine.kept import Kept
from session_cleanup.engine.sql import Sql
from session_cleanup.models import UndoSet
from session_cleanup.policies.actions import Delete, Update, Values, related_by
from session_cleanup.policies.claims import concrete
from session_cleanup.policies.conditions import column
from session_cleanup.policies.policy import Policy

Rows = QuerySet[Any]
T = TypeVar("T")
Kind = UndoSet.Kind
Written = tuple[type[Model], Kind, tuple[str, ...]]  # of a change, the columns that change


class Writer:
    """Deletes and changes rows for a job, and keeps nothing of them."""

    keeps = False
    opening: list[Sql] = []  # what each batch begins with

    def done(self, batch: Callable[[], T]) -> T:
        """Do a batch that writes, as often as it takes."""
        return batch()

    def prepare(self) -> bool:
        """Called before a batch; whether something was committed."""
        return False

    def begin(self) -> None:
        """Called within each batch, before it writes."""

    def finish(self) -> None:
        """Called within each batch, when it has written."""

    def delete(self, rows: Rows) -> int:
        return rows._raw_delete(rows.db) or 0

    def update(self, rows: Rows, values: Values) -> int:
        return rows.update(**values)

    def unlink(self, rows: Rows, edge: Edge) -> None:
        rows.update(**{edge.field.name: edge.replacement})

    def deleted(self, model: type[Model]) -> Kept | None:
        return None

    def updated(self, model: type[Model]) -> Kept | None:
        return None

    def unlinked(self, edge: Edge) -> Kept | None:
        return None


def written(policy: Policy) -> Iterator[Written]:
    """Every way in which a job can write to a table."""
    model, action = concrete(policy.get_model()), policy.action
    if isinstance(action, Update):
        yield _changing(model, action.values)
        for name, values in action.related.items():
            yield _changing(concrete(related_by(model, name).related_model), values)
    elif isinstance(action, Delete):
        for at in _reached(model):
            yield at, Kind.DELETED, ()
            for edge in cascades.nulling_edges(at):
                yield edge.child, Kind.UNLINKED, (str(edge.field.column),)


def _changing(model: type[Model], values: Values) -> Written:
    return model, Kind.UPDATED, tuple(str(column(name, model).column) for name in values)


def _reached(model: type[Model]) -> list[type[Model]]:
    """All models of which rows may go, along whatever ties them."""
    found = [model]
    for at in found:
        below = [edge.child for edge in cascades.edges(at) if edge.cascades]
        beside = [concrete(relation.related_model) for relation in protection.generic_relations(at)]
        found += [each for each in dict.fromkeys([*below, *at._meta.parents, *beside]) if each not in found]
    return found
