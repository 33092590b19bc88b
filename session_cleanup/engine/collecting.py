"""Django's collector, which deletes where code of the project has a say, made to keep what it deletes.

Why no row goes that is not recorded: it deletes rows by their keys alone, and before it begins, each of
them is locked and recorded. What a signal receiver deletes by itself is not its doing.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.deletion import Collector

from session_cleanup.engine import cascades
from session_cleanup.engine.undo import Undo
from session_cleanup.policies.actions import Effect
from session_cleanup.policies.claims import Claims, concrete

Keys = set[Any]


class KeepingCollector(Collector):
    def __init__(self, rows: QuerySet[Any], undo: Undo, claims: Claims) -> None:
        super().__init__(using=undo.using, origin=rows)
        self.undo = undo
        self.claims = claims
        self.rows = rows

    def can_fast_delete(self, objs: Any, from_field: Any = None) -> bool:
        """Nothing is deleted by a condition that is judged later."""
        return False

    def delete(self) -> tuple[int, dict[str, int]]:
        going = {model: {row.pk for row in rows} for model, rows in self.data.items()}
        for model, keys in going.items():
            self.undo.keep_deleted(model, keys)
        for model, keys in self._left_to_database(going).items():
            self.undo.keep_deleted(model, keys)
        for (field, value), parts in self.field_updates.items():
            rows: Iterable[Any] = chain.from_iterable(parts)  # type: ignore[arg-type]
            self.undo.keep_unlinked(field, {row.pk for row in rows}, value)
        return super().delete()

    def _left_to_database(self, going: dict[Any, Keys]) -> dict[type[Model], Keys]:
        """The keys of rows that the database cascades to by itself."""
        if not any(edge.in_database for at in going for edge in cascades.edges(at)):
            return {}
        known: dict[type[Model], Keys] = {}
        for model, keys in going.items():
            known.setdefault(concrete(model), set()).update(keys)
        found = cascades.deleted_with(self.rows, self.claims)
        return {
            at: set(rows.values_list("pk", flat=True)) - known.get(at, set()) for at, rows in found.items()
        }


def delete_and_keep(rows: QuerySet[Any], undo: Undo, claims: Claims) -> Effect:
    """What `Delete.apply` does, with undo records."""
    collector = KeepingCollector(rows, undo, claims)
    collector.collect(rows)
    _, counts = collector.delete()
    changed = counts.pop(concrete(rows.model)._meta.label, 0)
    return Effect(changed, {label: count for label, count in counts.items() if count})
