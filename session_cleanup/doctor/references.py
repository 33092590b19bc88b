"""Columns that refer to rows which a run deletes or changes: each needs an index.

Whoever follows such a column (Django's collector, the database's own check of the constraint, an effect
on related rows) reads the whole referring table without one, once for each batch or for each row.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Index as ModelIndex
from django.db.models import Model
from django.db.models.deletion import DO_NOTHING

from session_cleanup.doctor.additions import migration_adding
from session_cleanup.doctor.case import Case
from session_cleanup.doctor.catalog import Table
from session_cleanup.doctor.findings import Finding, Severity
from session_cleanup.engine import cascades, protection
from session_cleanup.policies.actions import Update, related_by


@dataclass(frozen=True)
class Referring:
    """Columns of a table that are followed from a row of `to`; Django's names for them where it has any."""

    table: Table
    columns: tuple[str, ...]
    to: str
    model: type[Model] | None = None
    fields: tuple[str, ...] = ()


def of_references(case: Case) -> Iterator[Finding]:
    seen = set()
    for referring in [*_of_models(case), *_of_database(case)]:
        place = (referring.table, referring.columns)
        if place not in seen:
            seen.add(place)
            yield from _without_index(case, referring)


def _of_models(case: Case) -> Iterator[Referring]:
    for parent in case.deleted:
        for edge in cascades.edges(parent):
            if edge.on_delete is not DO_NOTHING:  # where only the database looks, it says so itself
                fields = edge.field.local_related_fields
                yield _referring(case, edge.child, [field.name for field in fields], parent)
        for relation in protection.generic_relations(parent):
            names = [relation.content_type_field_name, relation.object_id_field_name]
            yield _referring(case, relation.related_model, names, parent)
    if isinstance(case.policy.action, Update):
        for name in case.policy.action.related:
            field = related_by(case.model, name).field
            yield _referring(case, field.model, [field.name], case.model)


def _referring(case: Case, model: type[Model], names: list[str], to: type[Model]) -> Referring:
    columns = [str(model._meta.get_field(name).column) for name in names]  # type: ignore[union-attr]
    table = case.table_of(model)
    return Referring(table, tuple(columns), to._meta.db_table, model, tuple(names))


def _of_database(case: Case) -> Iterator[Referring]:
    for parent in case.deleted:
        for found in case.catalog.references(case.table_of(parent)):
            yield Referring(found.table, found.columns, parent._meta.db_table)


def _without_index(case: Case, referring: Referring) -> Iterator[Finding]:
    indexes = case.catalog.indexes(referring.table)
    if any(index.finds(referring.columns) for index in indexes):
        return
    unfinished = [
        index.name for index in indexes if not index.is_valid and set(index.columns) >= {*referring.columns}
    ]
    columns = ", ".join(referring.columns)
    if referring.model is None:
        how = "CONCURRENTLY " if case.catalog.concurrently else ""
        cure = f"CREATE INDEX {how}ON {referring.table.name} ({columns})"
        migration = ""
    else:
        cure = "Remove db_index=False if that is why, or add this migration (and the index to Meta.indexes)"
        index = ModelIndex(fields=list(referring.fields))
        index.set_name_with_model(referring.model)
        migration = migration_adding(index, referring.model, case.using)
    yield Finding(
        "reference-without-index",
        Severity.SERIOUS,
        f"{referring.table.name}.{columns}",
        f"It refers to {referring.to}, of which runs delete or change rows, and no index leads to it"
        + (f": {', '.join(unfinished)} is invalid." if unfinished else "."),
        "The whole referring table is read for each row or batch: a run is a thousand times slower.",
        f"{cure}.",
        migration,
    )
