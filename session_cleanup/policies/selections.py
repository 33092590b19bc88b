"""Selections: which of the rows that meet a policy's condition are due. Each becomes one QuerySet."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db.models import (
    BigIntegerField,
    Case,
    Exists,
    ForeignKey,
    IntegerField,
    Model,
    OuterRef,
    Q,
    QuerySet,
    UUIDField,
    Value,
    When,
)
from django.db.models.functions import Cast, Lower, Replace

from session_cleanup.exceptions import PolicyError
from session_cleanup.models.history import as_stored, plain
from session_cleanup.policies.actions import related_by
from session_cleanup.policies.claims import Claims

Rows = QuerySet[Any]
ONE_BY_ONE = Q()
HELD = "session_cleanup_held_key"
UUID = "^[0-9A-Fa-f]{8}-?([0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}$"


@dataclass(frozen=True)
class Selection:
    """A question about rows. `narrow` answers it; a walk goes along `columns`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that, with the primary key, order the walk."""
        raise NotImplementedError

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that are NULL in no row that is due."""
        return self.columns

    @property
    def scans(self) -> bool:
        """Whether finding nothing means looking at every row, so that a walk must go in windows."""
        return False

    @property
    def reads(self) -> set[str]:
        """The columns of the row itself, and of those it is ranked with, that decide."""
        return set(self.needed)

    @property
    def looks(self) -> int:
        """The most rows that have to be looked at to tell whether one is due."""
        return 1

    @property
    def ranks(self) -> bool:
        """Whether rows of its own table decide, so that what it leaves keeps what it takes due."""
        return False

    def fits(self, model: type[Model]) -> None:
        """Raise FieldError, FieldDoesNotExist or PolicyError where it cannot be asked of `model`."""

    def asks(self, model: type[Model]) -> dict[type[Model], Any]:
        """The models whose rows decide by being there or not, each with the field of theirs that decides
        too, or None. What an earlier job of the run deletes is not there."""
        return {}

    def cutoff(self, now: datetime) -> datetime | None:
        """Rows whose clock lies before this moment are due; None where time plays no part."""
        return None

    def narrow(self, rows: Rows, claims: Claims, now: datetime, *, part: Q | None = None) -> Rows:
        """Those of `rows` that are due.

        With `part` only some of them will be looked at, so nothing may cost what the whole table costs:
        ONE_BY_ONE, or a condition that these meet, and behind them in the walk `looks` more that count.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Aged(Selection):
    """Rows whose `clock` lies more than `older_than` before the run clock. NULL is never due.

    `clock` is a column, or one behind a foreign key: "access_token__expires". With `unreferenced_by`, a
    reverse foreign key, a row is kept while any row refers to it.
    """

    clock: str
    older_than: timedelta = timedelta(0)
    unreferenced_by: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.older_than, timedelta):
            raise PolicyError(
                f"Aged({self.clock!r}): older_than is {self.older_than!r}. Give a timedelta, such as "
                "timedelta(days=90)."
            )
        if self.older_than < timedelta(0):
            raise PolicyError(
                f"Aged({self.clock!r}): older_than is {self.older_than}, so rows would be due before "
                "they exist. Give zero or a positive timedelta."
            )

    @property
    def scans(self) -> bool:
        return "__" in self.clock

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.clock.partition("__")[0],)

    def field(self, model: type[Model]) -> Any:
        """The field that is the clock; FieldDoesNotExist or PolicyError where there is none."""
        name, _, behind = self.clock.partition("__")
        field = model._meta.get_field(name)
        if not behind:
            return field
        if not isinstance(field, ForeignKey):
            raise PolicyError(
                f"Aged({self.clock!r}): {model._meta.label}.{name} is no foreign key, so no clock lies "
                "behind it. Name a column, or one of the model that a foreign key leads to."
            )
        return field.related_model._meta.get_field(behind)

    def asks(self, model: type[Model]) -> dict[type[Model], Any]:
        clock = self.field(model)
        found: dict[type[Model], Any] = {clock.model: clock} if self.scans else {}
        if self.unreferenced_by:
            relation = related_by(model, self.unreferenced_by)
            found[relation.related_model] = relation.field
        return found

    def cutoff(self, now: datetime) -> datetime:
        try:
            return now - self.older_than
        except OverflowError:
            raise PolicyError(
                f"Aged({self.clock!r}): older_than is {self.older_than}, which reaches back before the "
                "year 1. Give a shorter timedelta."
            ) from None

    def narrow(self, rows: Rows, claims: Claims, now: datetime, *, part: Q | None = None) -> Rows:
        clock = self.field(rows.model)
        old = {f"{clock.name}__lt": as_stored(self.cutoff(now))}
        if self.scans:
            key: Any = rows.model._meta.get_field(self.columns[0])
            held = {key.target_field.attname: OuterRef(key.attname)}
            rows = rows.filter(Exists(claims.existing(clock.model).filter(**old, **held)))
        else:
            rows = rows.filter(**old)
        if self.unreferenced_by:
            field = related_by(rows.model, self.unreferenced_by).field
            referring = {field.attname: OuterRef(field.target_field.attname)}
            rows = rows.filter(~Exists(claims.existing(field.model).filter(**referring)))
        return rows


@dataclass(frozen=True)
class Orphaned(Selection):
    """Rows whose reference points at a row that does not exist. NULL refers to nothing: never due.

    `reference` is a foreign key (a loose one: db_constraint=False), or any column together with
    `model`, the "app.Model" whose `key` (the primary key) it holds. With `as_text` it is a text that
    spells a number or a UUID; what spells none refers to nothing that exists. With `or_null` NULL is due.
    """

    reference: str
    model: str | None = None
    key: str = "pk"
    as_text: bool = False
    or_null: bool = False

    def __post_init__(self) -> None:
        names = isinstance(self.reference, str) and isinstance(self.model, str | None)
        if not names or not isinstance(self.key, str):
            raise PolicyError(
                f'{self!r}: give names: Orphaned("session"), or Orphaned("user_id", model="auth.User").'
            )
        if not self.model and (self.key != "pk" or self.as_text):
            raise PolicyError(f"{self!r}: key and as_text need model, the model whose key it holds.")

    @property
    def scans(self) -> bool:
        return True

    @property
    def columns(self) -> tuple[str, ...]:
        return ("pk",) if self.or_null else (self.reference,)

    @property
    def needed(self) -> tuple[str, ...]:
        return () if self.or_null else (self.reference,)

    @property
    def reads(self) -> set[str]:
        return {self.reference}

    def asks(self, model: type[Model]) -> dict[type[Model], Any]:
        return {self.target(model)[0]: None}

    def target(self, model: type[Model]) -> tuple[type[Model], str, str]:
        """(the model referred to, the field of it that is held, our column that holds it)."""
        field = model._meta.get_field(self.reference)
        if self.model is not None and not field.is_relation:
            return apps.get_model(self.model), self.key, self.reference
        if self.model is not None:
            raise PolicyError(
                f"Orphaned({self.reference!r}): {model._meta.label}.{self.reference} says itself what it "
                "refers to. Leave `model` out."
            )
        if not isinstance(field, ForeignKey):
            raise PolicyError(
                f"Orphaned({self.reference!r}): {model._meta.label}.{self.reference} is no foreign key. "
                'Say which model it refers to: Orphaned("user_id", model="auth.User").'
            )
        return field.related_model, field.target_field.name, field.attname

    def narrow(self, rows: Rows, claims: Claims, now: datetime, *, part: Q | None = None) -> Rows:
        target, key, column = self.target(rows.model)
        held = column
        if self.as_text and (spelled := _spelled(column, target, key)):
            rows, held = rows.alias(**{HELD: spelled}), HELD
        found = claims.existing(target).filter(**{key: OuterRef(held)})
        # NOT EXISTS: with NOT IN, a single NULL in the subquery would hide every orphan.
        rows = rows.filter(~Exists(found))
        return rows if self.or_null else rows.filter(**{f"{column}__isnull": False})


def _spelled(name: str, target: type[Model], key: str) -> Case | None:
    """The number or the UUID that a text spells, by which an index on the key can be asked; else NULL."""
    kind = plain(target._meta.pk if key == "pk" else target._meta.get_field(key))
    if isinstance(kind, IntegerField):
        return Case(When(**{f"{name}__regex": "^[0-9]{1,18}$"}, then=Cast(name, BigIntegerField())))
    if isinstance(kind, UUIDField):
        digits = Replace(Lower(name), Value("-"), Value(""))
        return Case(When(**{f"{name}__regex": UUID}, then=Cast(digits, UUIDField())))
    return None
