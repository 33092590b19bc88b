"""What else goes when a row goes: the closure of a delete, read off the models.

This module says beforehand which rows that will be, as QuerySets, and which are written to; how they
are then deleted is the matter of engine.deletion.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, ForeignKey, Manager, Model, OuterRef, Q, QuerySet, deletion
from django.db.models.deletion import (
    CASCADE,
    DO_NOTHING,
    PROTECT,
    RESTRICT,
    SET_DEFAULT,
    SET_NULL,
    get_candidate_relations_to_delete,
)
from django.db.models.fields import NOT_PROVIDED

from session_cleanup.policies.claims import Claims, concrete

Rows = QuerySet[Any]
CHUNK = 500  # keys in one IN list
# Since Django 6.1 cascading can be left to the database; what goes is the same.
CASCADES = (CASCADE, getattr(deletion, "DB_CASCADE", CASCADE))
DB_SET_NULL = getattr(deletion, "DB_SET_NULL", SET_NULL)
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
    def nulls(self) -> bool:
        """Whether the row stays, without its reference or with another: SET_NULL, SET_DEFAULT, SET."""
        return self.on_delete not in NOT_NULLING

    @property
    def runs_code(self) -> bool:
        """Whether only code of the project knows what is written instead."""
        if self.on_delete is SET_DEFAULT:
            return callable(self.field.default) or self.field.db_default is not NOT_PROVIDED
        return self.nulls and self.on_delete is not SET_NULL and callable(_constant(self.on_delete))

    @property
    def replacement(self) -> Any:
        """What is written in place of the reference."""
        if self.on_delete is SET_DEFAULT:
            return self.field.get_default()
        return None if self.on_delete in (SET_NULL, DB_SET_NULL) else _constant(self.on_delete)

    @property
    def in_database(self) -> bool:
        """Whether the database acts on it by itself, unseen by Django."""
        return isinstance(self.on_delete, getattr(deletion, "DatabaseOnDelete", ()))


def _constant(on_delete: Any) -> Any:
    """The value of a SET(value); a function of the project's own is returned as it is."""
    if not hasattr(on_delete, "deconstruct"):
        return on_delete
    path, values, _ = on_delete.deconstruct()
    return values[0] if path == "django.db.models.SET" else on_delete


def edges(model: type[Model]) -> list[Edge]:
    """The foreign keys that point at `model` itself, hidden ones (many-to-many) too."""
    relations: Iterator[Any] = get_candidate_relations_to_delete(model._meta)  # type: ignore[assignment]
    return [
        Edge(concrete(model), concrete(relation.related_model), relation.field)
        for relation in relations
        if concrete(relation.model) is concrete(model)  # not those at a table it inherits from
    ]


def nulling_edges(model: type[Model]) -> list[Edge]:
    return [edge for edge in edges(model) if edge.nulls]


def is_seen_whole(model: type[Model]) -> bool:
    """Whether Django sees all rows of `model` when it follows a relation to it."""
    return type(model._base_manager) is Manager


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
    return set(parents_first(model))


def parents_first(model: type[Model]) -> list[type[Model]]:
    """The closure, each model after all that cascade into it, as far as there is no cycle."""
    order: list[type[Model]] = []
    met = set()

    def visit(at: type[Model]) -> None:
        met.add(at)
        for edge in edges(at):
            if edge.cascades and edge.child not in met:
                visit(edge.child)
        order.append(at)

    visit(concrete(model))
    return order[::-1]


def is_cyclic(model: type[Model]) -> bool:
    """Whether a cascade can come back to a model it went through."""
    place = {at: number for number, at in enumerate(parents_first(model))}
    return any(edge.cascades and place[edge.child] <= place[at] for at in place for edge in edges(at))


def deleted_with(rows: Rows, claims: Claims) -> dict[type[Model], Rows]:
    """The rows that go when `rows` go, by concrete model, `rows` themselves included."""
    model = concrete(rows.model)
    if is_cyclic(model):
        return _deleted_by_keys(rows, claims)
    found: dict[type[Model], Rows] = {}
    conditions: dict[type[Model], Q] = {}
    for parent in parents_first(model):
        found[parent] = rows if parent is model else claims.reachable(parent).filter(conditions[parent])
        for edge in edges(parent):
            if edge.cascades:
                reached = Q(**{f"{edge.field.name}__in": found[parent]})
                conditions[edge.child] = conditions.get(edge.child, Q()) | reached
    return found


def _deleted_by_keys(rows: Rows, claims: Claims) -> dict[type[Model], Rows]:
    """The same for a closure with a cycle, level by level: its depth is known only to the data."""
    keys: dict[type[Model], list[Any]] = {}
    for model, level in _levels(rows, claims):
        keys.setdefault(model, []).extend(level)
    return {model: claims.reachable(model).filter(pk__in=found) for model, found in keys.items()}


def _levels(rows: Rows, claims: Claims) -> Iterator[tuple[type[Model], list[Any]]]:
    """(model, keys) that a delete of `rows` reaches."""

    def children(edge: Edge, keys: list[Any]) -> Iterator[Any]:
        for part in _chunks(keys):
            parents = edge.parent._base_manager.using(claims.using).filter(pk__in=part)
            found = claims.reachable(edge.child).filter(**{f"{edge.field.name}__in": parents})
            yield from found.values_list("pk", flat=True)

    return descend(rows.model, list(rows.values_list("pk", flat=True)), children)


def descend(
    model: type[Model], keys: list[Any], children: Callable[[Edge, list[Any]], Iterable[Any]]
) -> Iterator[tuple[type[Model], list[Any]]]:
    """(model, keys) that cascading from `keys` of `model` reaches, each key once, parents first.

    `children` finds the keys of the rows whose foreign key leads to some keys. Where there is no cycle
    each model is visited once, else as often as the data asks for.
    """
    order = parents_first(model)
    known: dict[type[Model], set[Any]] = {at: set() for at in order}
    known[order[0]].update(keys)
    fresh = {order[0]: keys}
    while fresh:
        parent = min(fresh, key=order.index)
        new = fresh.pop(parent)
        yield parent, new
        for edge in edges(parent):
            if edge.cascades:
                found = set(children(edge, new)) - known[edge.child]
                known[edge.child] |= found
                if found:
                    fresh[edge.child] = [*fresh.get(edge.child, ()), *found]


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
