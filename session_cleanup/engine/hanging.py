"""Which rows of a restore hang on which: those that single keys ask for, and those whose parent is taken."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import ForeignKey, QuerySet

from session_cleanup.engine.putting_back import Target
from session_cleanup.engine.records import Row
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import UndoSet
from session_cleanup.models.history import key_text
from session_cleanup.policies.claims import concrete


class Rows:
    """Some rows of some tables, to ask whether another one refers to one of them."""

    def __init__(self) -> None:
        self.places: set[tuple[Any, str, str]] = set()  # (model, column, value)

    def add(self, target: Target, rows: Sequence[Row]) -> None:
        for field in target.model._meta.local_concrete_fields if rows else ():
            if field.unique and field.column in target.names:
                self.places |= {(target.model, field.column, str(target.value(row, field))) for row in rows}

    def referred_by(self, target: Target, row: Row) -> bool:
        for field in target.model._meta.local_concrete_fields if self.places else ():
            if isinstance(field, ForeignKey) and field.column in target.names:
                place = concrete(field.related_model), str(field.target_field.column)
                if (*place, str(target.value(row, field))) in self.places:
                    return True
        return False


def taken(targets: Iterable[Target]) -> Rows:
    """The rows whose key exists again. What hung on them must not come to hang on the new ones."""
    found = Rows()
    for target in targets:
        for records in target.chunks() if target.deleted and not target.problem else ():
            rows = target.closed(records)
            there = target.existing(rows)
            found.add(target, [row for row in rows if row.key in there])
    return found


def _as_text(label: str, key: str, using: str) -> str:
    """A key as records have it: a UUID may be typed in several ways."""
    try:
        return key_text(apps.get_model(label), key, using)
    except (LookupError, ValidationError, ValueError, TypeError):
        raise ConfigurationError(f"--pk is {key!r}, which is no primary key of {label}.") from None


class AskedFor:
    """The rows with some keys and all that hung on them; grows while a restore walks, parents first."""

    def __init__(self, label: str, keys: Sequence[str], using: str) -> None:
        self.label = label
        self.keys = {_as_text(label, key, using) for key in keys}
        self.using = using
        self.found = Rows()

    def among(self, target: Target, rows: list[Row]) -> list[Row]:
        if target.problem:
            return rows
        own = target.saved.model == self.label
        if target.saved.kind == UndoSet.Kind.UPDATED and not own:
            keys = self._related(target)
        else:
            keys = self.keys if own else set()
        wanted = [row for row in rows if row.key in keys or self.found.referred_by(target, row)]
        if target.deleted:
            self.found.add(target, wanted)
        return wanted

    def _related(self, target: Target) -> set[str]:
        """The keys of rows that refer to one that is asked for, as they do now."""
        found: set[str] = set()
        for field in target.model._meta.local_concrete_fields:
            if isinstance(field, ForeignKey) and field.related_model._meta.label == self.label:
                rows: QuerySet[Any] = QuerySet(target.model, using=self.using).filter(
                    **{f"{field.name}__in": self.keys}
                )
                keys = rows.values_list("pk", flat=True)
                found |= {key_text(target.model, key, self.using) for key in keys}
        return found
