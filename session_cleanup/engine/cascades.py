"""What else goes when a row goes: the closure of a delete, read off the models.

Deleting itself is Django's (its collector, batch by batch). This module says beforehand which rows
that will be, as QuerySets, and which rows Django would refuse to delete.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, ForeignKey, Model, OuterRef, Q, QuerySet, deletion
from django.db.models.deletion import (
    CASCADE,
    DO_NOTHING,
    PROTECT,
    RESTRICT,
    get_candidate_relations_to_delete,
)
from django.db.models.signals import post_delete, pre_delete

from session_cleanup.policies.claims import Claims, concrete

Rows = QuerySet[Any]
CHUNK = 500  # keys in one IN list
# Since Django 6.1 cascading can be left to the database; what goes is the same.
CASCADES = (CASCADE, getattr(deletion, "DB_CASCADE", CASCADE))
NOT_NULLING = (*CASCADES, PROTECT, RESTRICT, DO_NOTHING)  # all others write to a row that stays


@dataclass(frozen=True)
class Edge:
    """Rows of `child` whose foreign key `field` points at a row of `parent` that is deleted."""

    parent: type[Model]
    child: type[Model]
    field: "ForeignKey[Any, Any]"

    @property
    def on_delete(self) -> Any:
        return self.field.remote_field.on_delete

    @property
    def cascades(self) -> bool:
        return self.on_delete in CASCADES

    @property
    def in_database(self) -> bool:
        """Whether the database acts on it by itself, unseen by Django."""
        return isinstance(self.on_delete, getattr(deletion, "DatabaseOnDelete", ()))


def edges(model: type[Model]) -> list[Edge]:
    """The foreign keys that point at `model` itself, hidden ones (many-to-many) too."""
    relations: Iterator[Any] = get_candidate_relations_to_delete(model._meta)  # type: ignore[assignment]
    return [
        Edge(concrete(model), concrete(relation.related_model), relation.field)
        for relation in relations
        if concrete(relation.model) is concrete(model)  # not those at a table it inherits from
    ]


def nulling_edges(model: type[Model]) -> list[Edge]:
    """Those whose rows stay but lose their reference: SET_NULL, SET_DEFAULT, SET."""
    return [edge for edge in edges(model) if edge.on_delete not in NOT_NULLING]


def cascade_paths(
    model: type[Model], *, prefix: str = "", seen: tuple[type[Model], ...] = ()
) -> Iterator[tuple[Edge, str]]:
    """(edge, lookup from its child up to the row of `model`) for all that cascading can reach.

    Each path visits a model once, so a cycle ends; edges that do not cascade are given, not followed.
    """
    here = (*seen, concrete(model))
    for edge in edges(model):
        lookup = f"{edge.field.name}__{prefix}" if prefix else edge.field.name
        yield edge, lookup
        if edge.cascades and edge.child not in here:
            yield from cascade_paths(edge.child, prefix=lookup, seen=here)


def closure(model: type[Model]) -> set[type[Model]]:
    """All models of which a row may be deleted when one of `model` is."""
    return {concrete(model)} | {edge.child for edge, _ in cascade_paths(model) if edge.cascades}


def goes_alone(model: type[Model]) -> bool:
    """Whether deleting a row of `model` touches no other row and runs no code."""
    return not (
        list(get_candidate_relations_to_delete(model._meta))
        or model._meta.private_fields
        or model._meta.parents
        or any(signal.has_listeners(model) for signal in (pre_delete, post_delete))
    )


def is_cyclic(model: type[Model]) -> bool:
    """Whether a cascade can come back to a model it went through."""
    return any(_reaches(start, start) for start in closure(model))


def _reaches(start: type[Model], goal: type[Model]) -> bool:
    return any(edge.cascades and edge.child is goal for edge, _ in cascade_paths(start))


def deleted_with(rows: Rows, claims: Claims) -> dict[type[Model], Rows]:
    """The rows that go when `rows` go, by concrete model, `rows` themselves included."""
    model = concrete(rows.model)
    if is_cyclic(model):
        return _deleted_by_keys(rows, claims)
    found: dict[type[Model], Rows] = {}
    conditions: dict[type[Model], Q] = {}
    for parent in _parents_first(model):
        found[parent] = rows if parent is model else claims.reachable(parent).filter(conditions[parent])
        for edge in edges(parent):
            if edge.cascades:
                reached = Q(**{f"{edge.field.name}__in": found[parent]})
                conditions[edge.child] = conditions.get(edge.child, Q()) | reached
    return found


def _parents_first(model: type[Model]) -> list[type[Model]]:
    """The closure in topological order: a model comes after all that cascade into it."""
    order: list[type[Model]] = []

    def visit(at: type[Model]) -> None:
        for edge in edges(at):
            if edge.cascades and edge.child not in order:
                visit(edge.child)
        if at not in order:
            order.append(at)

    visit(model)
    return order[::-1]


def _deleted_by_keys(rows: Rows, claims: Claims) -> dict[type[Model], Rows]:
    """The same for a closure with a cycle, level by level: its depth is known only to the data."""
    keys: dict[type[Model], list[Any]] = {}
    for model, level in _levels(rows, claims):
        keys.setdefault(model, []).extend(level)
    return {model: claims.reachable(model).filter(pk__in=found) for model, found in keys.items()}


def _levels(rows: Rows, claims: Claims) -> Iterator[tuple[type[Model], list[Any]]]:
    """(model, keys) that a delete of `rows` reaches, nearest first, each key once."""
    model = concrete(rows.model)
    fresh = deque([(model, list(rows.values_list("pk", flat=True)))])
    known = {model: set(fresh[0][1])}
    while fresh:
        parent, new = fresh.popleft()
        yield parent, new
        for edge in edges(parent):
            if not edge.cascades:
                continue
            seen = known.setdefault(edge.child, set())
            for keys in _chunks(new):
                parents = parent._base_manager.using(claims.using).filter(pk__in=keys)
                children = claims.reachable(edge.child).filter(**{f"{edge.field.name}__in": parents})
                more = set(children.values_list("pk", flat=True)) - seen
                seen |= more
                fresh += [(edge.child, list(more))] if more else []


def leaves_first(rows: Rows, claims: Claims) -> Iterator[Rows]:
    """The rows that go when `rows` go, a few at a time, none before those that hang on it."""
    for model, level in reversed(list(_levels(rows, claims))):
        for keys in _chunks(level):
            yield model._base_manager.using(claims.using).filter(pk__in=keys)


def _chunks(keys: list[Any]) -> Iterator[list[Any]]:
    return (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))


def nulled_with(deleted: dict[type[Model], Rows], claims: Claims) -> Iterator[Rows]:
    """The rows that stay but lose a reference to a row in `deleted`."""
    for parent, rows in deleted.items():
        for edge in nulling_edges(parent):
            left = claims.reachable(edge.child).filter(**{f"{edge.field.name}__in": rows})
            gone = deleted.get(edge.child)
            yield left if gone is None else left.filter(~Exists(gone.filter(pk=OuterRef("pk"))))
