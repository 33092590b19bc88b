"""What keeps a row from being deleted: rows that protect it, and holds on rows that would go along."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, Model, OuterRef, QuerySet
from django.db.models.deletion import DO_NOTHING, PROTECT, RESTRICT

from session_cleanup.engine import cascades
from session_cleanup.models import Hold
from session_cleanup.models.history import has_text_key
from session_cleanup.policies.claims import Claims, concrete

Rows = QuerySet[Any]


def protected(model: type[Model], claims: Claims) -> list[Exists]:
    """Conditions under which Django would refuse to delete a row of `model` by itself."""
    paths = list(cascades.cascade_paths(model))
    conditions = []
    for edge, lookup in paths:
        if edge.on_delete not in (PROTECT, RESTRICT):
            continue
        refusing = claims.reachable(edge.child).filter(**{f"{lookup}__pk": OuterRef("pk")})
        if edge.on_delete is RESTRICT:  # not when the row that restricts goes along on another path
            for other, way in paths:
                if other.child is edge.child and other.cascades:
                    refusing = refusing.exclude(**{f"{way}__pk": OuterRef("pk")})
        conditions.append(Exists(refusing))
    return conditions


def held_below(model: type[Model], claims: Claims) -> list[Exists]:
    """Conditions under which deleting a row of `model` would delete or write to a row under a hold."""
    return [
        Exists(
            claims.reachable(edge.child).filter(
                Hold.objects.using(claims.using).on(edge.child, claims.now),
                **{f"{lookup}__pk": OuterRef("pk")},
            )
        )
        for edge, lookup in cascades.cascade_paths(model)
        if edge.on_delete not in (PROTECT, RESTRICT, DO_NOTHING) and has_text_key(edge.child)
    ]


def needs_a_look(model: type[Model]) -> bool:
    """Whether a delete can reach rows that no condition of `held_below` reaches."""
    return cascades.is_cyclic(model) or any(
        generic_relations(at) or at._meta.parents for at in cascades.closure(model)
    )


def takes_held_rows(rows: Rows, claims: Claims, seen: frozenset[type[Model]] = frozenset()) -> bool:
    """Whether deleting `rows` would delete or write to a row under a hold; looks at the rows themselves."""
    deleted = cascades.deleted_with(rows, claims)
    touched = [*deleted.values(), *cascades.nulled_with(deleted, claims)]
    if any(under_hold(each, claims).exists() for each in touched):
        return True
    seen |= {concrete(rows.model)}
    return any(
        (under_hold(more, claims).exists() if more.model in seen else takes_held_rows(more, claims, seen))
        for going in deleted.values()
        for more in _beside(going, claims)
    )


def _beside(rows: Rows, claims: Claims) -> Iterator[Rows]:
    """The rows that go with `rows` along no foreign key: of inherited tables, by generic relations."""
    for parent, link in rows.model._meta.parents.items():
        keys = rows.values(link.attname if link else "pk")
        yield parent._base_manager.using(claims.using).filter(pk__in=keys)
    for relation in generic_relations(rows.model):
        yield relation.bulk_related_objects(list(rows), claims.using)


def under_hold(rows: Rows, claims: Claims) -> Rows:
    """Those of `rows` that a hold keeps."""
    if not has_text_key(rows.model):
        return rows.none()
    return rows.filter(Hold.objects.using(claims.using).on(rows.model, claims.now))


def generic_relations(model: type[Model]) -> list[Any]:
    """The relations along no foreign key, as Django's collector knows them."""
    return [field for field in model._meta.private_fields if hasattr(field, "bulk_related_objects")]


def frees_itself(model: type[Model]) -> bool:
    """Whether deleting rows of `model` can delete what protects others of them, so a pass is repeated."""
    return any(
        edge.on_delete in (PROTECT, RESTRICT) and edge.child in cascades.closure(model)
        for edge, _ in cascades.cascade_paths(model)
    )
