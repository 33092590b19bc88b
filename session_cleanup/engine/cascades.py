"""What else goes when a row goes: the closure of a delete, read off the models.

Deleting itself is Django's (its collector, batch by batch). This module says beforehand which rows
that will be, as QuerySets, and which rows Django would refuse to delete.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.contenttypes.fields import GenericRelation
from django.db.models import Exists, ForeignKey, Model, OuterRef, Q, QuerySet
from django.db.models.deletion import (
    CASCADE,
    DO_NOTHING,
    PROTECT,
    RESTRICT,
    get_candidate_relations_to_delete,
)
from django.db.models.signals import post_delete, pre_delete

from session_cleanup.models import Hold
from session_cleanup.policies.claims import Claims, concrete

Rows = QuerySet[Any]
CHUNK = 500  # keys in one IN list
NOT_NULLING = (CASCADE, PROTECT, RESTRICT, DO_NOTHING)  # all others write to a row that stays


@dataclass(frozen=True)
class Edge:
    """Rows of `child` whose foreign key `field` points at a row of `parent` that is deleted."""

    parent: type[Model]
    child: type[Model]
    field: "ForeignKey[Any, Any]"

    @property
    def on_delete(self) -> Any:
        return self.field.remote_field.on_delete


def edges(model: type[Model]) -> list[Edge]:
    """The foreign keys that point at `model`, hidden ones (many-to-many) too."""
    relations: Iterator[Any] = get_candidate_relations_to_delete(model._meta)  # type: ignore[assignment]
    return [Edge(concrete(model), concrete(relation.related_model), relation.field) for relation in relations]


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
        if edge.on_delete is CASCADE and edge.child not in here:
            yield from cascade_paths(edge.child, prefix=lookup, seen=here)


def closure(model: type[Model]) -> set[type[Model]]:
    """All models of which a row may be deleted when one of `model` is."""
    return {concrete(model)} | {edge.child for edge, _ in cascade_paths(model) if edge.on_delete is CASCADE}


def is_cyclic(model: type[Model]) -> bool:
    """Whether a cascade can come back to a model it went through."""
    return any(_reaches(start, start) for start in closure(model))


def _reaches(start: type[Model], goal: type[Model]) -> bool:
    return any(edge.on_delete is CASCADE and edge.child is goal for edge, _ in cascade_paths(start))


def deleted_with(rows: Rows, claims: Claims) -> dict[type[Model], Rows]:
    """The rows that go when `rows` go, by concrete model, `rows` themselves included."""
    model = concrete(rows.model)
    if is_cyclic(model):
        return _deleted_by_keys(rows, claims)
    found: dict[type[Model], Rows] = {}
    conditions: dict[type[Model], Q] = {}
    for parent in _parents_first(model):
        found[parent] = rows if parent is model else claims.existing(parent).filter(conditions[parent])
        for edge in edges(parent):
            if edge.on_delete is CASCADE:
                reached = Q(**{f"{edge.field.name}__in": found[parent]})
                conditions[edge.child] = conditions.get(edge.child, Q()) | reached
    return found


def _parents_first(model: type[Model]) -> list[type[Model]]:
    """The closure in topological order: a model comes after all that cascade into it."""
    order: list[type[Model]] = []

    def visit(at: type[Model]) -> None:
        for edge in edges(at):
            if edge.on_delete is CASCADE and edge.child not in order:
                visit(edge.child)
        if at not in order:
            order.append(at)

    visit(model)
    return order[::-1]


def _deleted_by_keys(rows: Rows, claims: Claims) -> dict[type[Model], Rows]:
    """The same for a closure with a cycle, level by level: its depth is known only to the data."""
    keys: dict[type[Model], set[Any]] = {concrete(rows.model): set(rows.values_list("pk", flat=True))}
    fresh = [(concrete(rows.model), list(keys[concrete(rows.model)]))]
    while fresh:
        parent, new = fresh.pop()
        for edge in edges(parent):
            if edge.on_delete is not CASCADE:
                continue
            known = keys.setdefault(edge.child, set())
            for start in range(0, len(new), CHUNK):
                parents = parent._base_manager.using(claims.using).filter(pk__in=new[start : start + CHUNK])
                children = claims.existing(edge.child).filter(**{f"{edge.field.name}__in": parents})
                more = set(children.values_list("pk", flat=True)) - known
                known |= more
                fresh += [(edge.child, list(more))] if more else []
    return {model: claims.existing(model).filter(pk__in=found) for model, found in keys.items()}


def nulled_with(deleted: dict[type[Model], Rows], claims: Claims) -> Iterator[Rows]:
    """The rows that stay but lose a reference to a row in `deleted`."""
    for parent, rows in deleted.items():
        for edge in nulling_edges(parent):
            left = claims.existing(edge.child).filter(**{f"{edge.field.name}__in": rows})
            gone = deleted.get(edge.child)
            yield left if gone is None else left.filter(~Exists(gone.filter(pk=OuterRef("pk"))))


def protected(model: type[Model], claims: Claims) -> list[Exists]:
    """Conditions under which Django would refuse to delete a row of `model` by itself."""
    paths = list(cascade_paths(model))
    conditions = []
    for edge, lookup in paths:
        if edge.on_delete not in (PROTECT, RESTRICT):
            continue
        refusing = claims.existing(edge.child).filter(**{f"{lookup}__pk": OuterRef("pk")})
        if edge.on_delete is RESTRICT:  # not when the row that restricts goes along on another path
            for other, way in paths:
                if other.child is edge.child and other.on_delete is CASCADE:
                    refusing = refusing.exclude(**{f"{way}__pk": OuterRef("pk")})
        conditions.append(Exists(refusing))
    return conditions


def held_below(model: type[Model], claims: Claims) -> list[Exists]:
    """Conditions under which deleting a row of `model` would take a row with it that is under a hold."""
    return [
        Exists(
            claims.existing(edge.child).filter(
                Hold.objects.using(claims.using).on(edge.child, claims.now),
                **{f"{lookup}__pk": OuterRef("pk")},
            )
        )
        for edge, lookup in cascade_paths(model)
        if edge.on_delete is CASCADE
    ]


def frees_itself(model: type[Model]) -> bool:
    """Whether deleting rows of `model` can delete what protects others of them, so a pass is repeated."""
    return any(
        edge.on_delete in (PROTECT, RESTRICT) and edge.child in closure(model)
        for edge, _ in cascade_paths(model)
    )


def has_receivers(model: type[Model]) -> bool:
    """Whether code of the project runs when a row of `model` is deleted."""
    return any(signal.has_listeners(model) for signal in (pre_delete, post_delete))


def surprises(model: type[Model]) -> list[str]:
    """Why a preview of deleting rows of `model` may differ from doing it; empty when it cannot."""
    found = []
    for at in sorted(closure(model), key=lambda each: each._meta.label):
        if has_receivers(at):
            found.append(f"signal receivers run when a {at._meta.label} is deleted")
        if any(isinstance(field, GenericRelation) for field in at._meta.private_fields):
            found.append(f"{at._meta.label} has a generic relation, whose rows are not counted beforehand")
        if at._meta.parents:
            found.append(f"{at._meta.label} inherits from another table, whose row goes with it")
        if any(not callable(edge.on_delete) for edge in edges(at)):
            found.append(f"the database itself cascades from {at._meta.label}")
    if frees_itself(model):
        found.append("a row that goes may be what protects another row that is due")
    return found
