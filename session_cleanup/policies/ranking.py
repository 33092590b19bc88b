"""Selections that rank: a row is due because of others of its table that stay.

Ranked are the candidates of the run that meet the policy's condition, so what an earlier job changes or
deletes has no rank. Whatever is due stands behind rows that are not, so a run that takes some of it, in
any order, leaves the rest due.

A preview ranks the whole table in one pass, a walk the rows of one stretch, with as many behind it as decide
about its last. A batch asks of single rows whether there is a row `keep` places from the head of their
group, and before them: by an index on (group, order, primary key) that takes as many steps, in a group of
ten rows and of ten million. It counts from the head because rows there stay, while what lies just before
a row may be thousands that the run has just deleted.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from django.db.models import F, Model, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import RowNumber
from django.db.models.lookups import GreaterThan, IsNull

from session_cleanup.exceptions import PolicyError
from session_cleanup.models.history import as_stored
from session_cleanup.policies.claims import Claims
from session_cleanup.policies.conditions import column, foreign_reads, paths
from session_cleanup.policies.positions import After, Before, Row
from session_cleanup.policies.selections import ONE_BY_ONE, Selection

Rows = QuerySet[Any]


@dataclass(frozen=True)
class Ranked(Selection):
    """Groups of rows in an order. Equal ones are told apart by their primary key: the greater is newer."""

    group: str | tuple[str, ...]
    order: str

    def __post_init__(self) -> None:
        names = (self.group,) if isinstance(self.group, str) else self.group
        if not isinstance(names, tuple) or not names or not all(isinstance(name, str) for name in names):
            raise PolicyError(
                f"{self._name}: group is {self.group!r}. Give the name of a column or a tuple of such."
            )
        if not isinstance(self.order, str) or not self.order.isidentifier():
            raise PolicyError(
                f'{self._name}: order is {self.order!r}. Give the name of one column, such as "created_at"; '
                "the greatest is the newest."
            )
        object.__setattr__(self, "group", names)

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def groups(self) -> tuple[str, ...]:
        """The columns that a group has in common."""
        assert isinstance(self.group, tuple)
        return self.group

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.groups, self.order)

    @property
    def scans(self) -> bool:
        return True

    @property
    def ranks(self) -> bool:
        return True

    def asks(self, model: type[Model]) -> dict[type[Model], Any]:
        return {model: None}

    def fits(self, model: type[Model]) -> None:
        for name in self.columns:
            column(name, model)

    def counting(self, now: datetime) -> Q:
        """What else a row must meet to be ranked."""
        return Q()

    @property
    def there(self) -> Q:
        """The condition that a row has a place: NULL is in no group and has none."""
        return Q(**{f"{name}__isnull": False for name in self.needed})

    def has_before(self, rows: Rows, places: int, newest: bool = True) -> IsNull:
        """The condition that `places` of `rows` stand before a row of the same group.

        Equal is not NULL: with conditions that say so once more, an index would take twice as long.
        """
        same = [column(name, rows.model).attname for name in self.groups]
        place = [column(self.order, rows.model).attname, "pk"]
        kind = After if newest else Before
        nearer = kind(Row(*map(F, place)), Row(*map(OuterRef, place)))
        before = rows.filter(nearer, **{name: OuterRef(name) for name in same})
        head_first = before.order_by(*(f"-{name}" if newest else name for name in place))
        return IsNull(Subquery(head_first.values("pk")[places - 1 : places]), False)

    def behind(self, rows: Rows, keep: int, now: datetime, part: Q | None, *, newest: bool = True) -> Rows:
        """The rows behind the first `keep` of their group."""
        rows = rows.filter(self.counting(now))
        # Along the walk the newest come last: what is before the first of a part is not in it.
        if part is ONE_BY_ONE or (part is not None and not newest):
            return rows.filter(self.there, self.has_before(rows, keep, newest))
        rows = rows.filter(self.there, part or Q())
        places = [F(self.order), F("pk")]
        place = Window(
            RowNumber(),
            partition_by=[F(name) for name in self.groups],
            order_by=[each.desc() if newest else each.asc() for each in places],
        )
        return rows.filter(pk__in=rows.order_by().filter(GreaterThan(place, keep)).values("pk"))


@dataclass(frozen=True)
class Excess(Ranked):
    """Rows behind the `keep` newest of their group. NULL, in the group or the order, is never due.

    `group` is a column or a tuple of them, `order` the column by which the greatest is the newest. Two
    conditions on columns of the row keep more; a row so kept still takes its place among the newest:

    protect         never due are the rows that meet it, however many
    protect_newest  never due is, in each group, the newest row that meets it

    To tell whether a row that meets `protect_newest` is the newest such, a run passes the rows of its
    group that are newer than the newest such: where those are many, give it an index with that condition.
    """

    keep: int
    protect: Q = field(default_factory=Q)
    protect_newest: Q = field(default_factory=Q)

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.keep) is not int or self.keep < 1:
            raise PolicyError(
                f"Excess({self.group!r}): keep is {self.keep!r}. Give a whole number from 1 up; to delete "
                "every row, say so with another selection."
            )
        for name in ("protect", "protect_newest"):
            if not isinstance(getattr(self, name), Q):
                raise PolicyError(
                    f"Excess({self.group!r}): {name} is {getattr(self, name)!r}. Give a Q object, such as "
                    "Q(is_active=True)."
                )

    @property
    def looks(self) -> int:
        return self.keep

    @property
    def reads(self) -> set[str]:
        protecting = paths(self.protect & self.protect_newest)
        return super().reads | {path.partition("__")[0] for path in protecting if path}

    def fits(self, model: type[Model]) -> None:
        super().fits(model)
        if foreign_reads(self.protect & self.protect_newest, model):
            raise PolicyError(
                f"Excess({self.group!r}) protects rows by what stands in other tables. Name only columns of "
                f"{model._meta.label} itself."
            )

    def narrow(self, rows: Rows, claims: Claims, now: datetime, *, part: Q | None = None) -> Rows:
        due = self.behind(rows, self.keep, now, part)
        if self.protect:
            due = due.filter(~self.protect)
        if self.protect_newest:
            newer = self.has_before(rows.filter(self.protect_newest), 1)
            due = due.filter(~self.protect_newest | Q(newer))
        return due


@dataclass(frozen=True)
class Duplicated(Ranked):
    """Rows of a group with the same `digest` but for one: the newest, or the first, is kept.

    `digest` is a column that holds the digest of another one's content. A row with NULL in the group, the
    digest or the order is never due and no reason for another to be.

    Where `checked_at` says when the digest was made and `changed_at` when the row was last changed, only
    digests count that were made since, and before this run: what an Invalid of the same run has just
    looked into counts in the next run.
    """

    digest: str
    keep: Literal["newest", "first"] = "newest"
    checked_at: str | None = None
    changed_at: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.digest, str):
            raise PolicyError(f"Duplicated({self.group!r}): digest is {self.digest!r}. Name a column.")
        if self.keep not in ("newest", "first"):
            raise PolicyError(
                f"Duplicated({self.group!r}): keep is {self.keep!r}. Choose 'newest' or 'first'."
            )
        if self.changed_at and not self.checked_at:
            raise PolicyError(
                f"Duplicated({self.group!r}): changed_at needs checked_at, the column that says when the "
                "digest was made."
            )

    @property
    def groups(self) -> tuple[str, ...]:
        return (*super().groups, self.digest)

    @property
    def reads(self) -> set[str]:
        if self.checked_at and self.changed_at:  # what a run makes counts in it neither before nor after
            return super().reads - {self.digest}
        return super().reads

    def fits(self, model: type[Model]) -> None:
        super().fits(model)
        for name in filter(None, (self.checked_at, self.changed_at)):
            column(name, model)

    def counting(self, now: datetime) -> Q:
        found = Q()
        if self.checked_at:
            found &= Q(**{f"{self.checked_at}__lt": as_stored(now)})
        if self.changed_at:
            found &= ~Q(**{f"{self.checked_at}__lt": F(self.changed_at)})
        return found

    def narrow(self, rows: Rows, claims: Claims, now: datetime, *, part: Q | None = None) -> Rows:
        return self.behind(rows, 1, now, part, newest=self.keep == "newest")
