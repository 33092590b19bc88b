"""The selection that looks into a column: a row is due when what it holds fails a check.

No database can ask a check that is written in Python, so each row keeps a verdict and when it was made.
What has none, or has changed since, is looked into by the next run, and so is everything said to be
invalid once more before something happens to it. What cannot be decoded has no verdict and is never due.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, DateTimeField, F, Field, Model, Q, QuerySet
from django.utils.module_loading import import_string

from session_cleanup.exceptions import PolicyError
from session_cleanup.policies.claims import Claims
from session_cleanup.policies.conditions import column
from session_cleanup.policies.selections import Selection

Rows = QuerySet[Any]
Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Invalid(Selection):
    """Rows whose decoded `column` fails `check`. NULL, and what is encrypted, is never due.

    column      what is looked into, decoded as its field does it
    check       takes the value and says True (it is valid) or False; a function, or the path of one
    verdict     the nullable boolean in which a run keeps what the check said
    checked_at  the nullable time in which it keeps when
    changed_at  the time, never NULL, that moves whenever a row changes: an older verdict does not count
    digest      a text of 64 in which it keeps the digest of the value, for Duplicated
    size        a number in which it keeps how many bytes the value takes as JSON
    """

    column: str
    check: Check | str
    verdict: str
    checked_at: str
    changed_at: str | None = None
    digest: str | None = None
    size: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.check) and not (isinstance(self.check, str) and "." in self.check):
            raise PolicyError(
                f"Invalid({self.column!r}): check is {self.check!r}. Give a function that takes a value and "
                'says whether it is valid, or its path, such as "shop.payloads.is_valid".'
            )

    @property
    def columns(self) -> tuple[str, ...]:
        # Not by the key alone: PostgreSQL takes one row in three to have changed since, and would rather
        # go along the whole primary key than by an index that holds hardly a row.
        return (self.changed_at or "pk",)

    @property
    def needed(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def stored(self) -> set[str]:
        """The columns in which a run keeps what it found."""
        return {name for name in (self.verdict, self.checked_at, self.digest, self.size) if name}

    @property
    def unknown(self) -> Q:
        """The condition that a row has no verdict, or none that counts."""
        never = Q(**{f"{self.checked_at}__isnull": True})
        return never | Q(**{f"{self.checked_at}__lt": F(self.changed_at)}) if self.changed_at else never

    @property
    def suspect(self) -> Q:
        """The condition that a row has to be looked into: an index with it leads to little else."""
        return Q(**{f"{self.column}__isnull": False}) & (Q(**{self.verdict: False}) | self.unknown)

    @property
    def reads(self) -> set[str]:
        return {self.column} | self.stored

    def get_check(self) -> Check:
        return import_string(self.check) if isinstance(self.check, str) else self.check

    def fits(self, model: type[Model]) -> None:
        try:
            self.get_check()
        except ImportError as error:
            raise PolicyError(f"check is {self.check!r}, which cannot be imported: {error}.") from error
        kinds: dict[str, type[Field[Any, Any]]] = {self.verdict: BooleanField, self.checked_at: DateTimeField}
        for name in [self.column, *self.stored, *([self.changed_at] if self.changed_at else [])]:
            found = column(name, model)
            kind = kinds.get(name, Field)
            if not isinstance(found, kind) or (name in self.stored and not found.null):
                raise PolicyError(
                    f"{model._meta.label}.{name} cannot keep what a check said: it must be a nullable "
                    f"{kind.__name__}."
                )
            if name == self.changed_at and found.null:
                raise PolicyError(
                    f"{model._meta.label}.{name} may be NULL, so it cannot tell when each row has changed."
                )

    def narrow(self, rows: Rows, claims: Claims, now: datetime, *, part: Q | None = None) -> Rows:
        return rows.filter(self.suspect)
