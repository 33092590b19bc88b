"""Actions: what happens to the rows that are due. Each is one effect on one locked batch."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Literal

from django.db.models import ManyToOneRel, Model, Q, QuerySet

from session_cleanup.exceptions import PolicyError
from session_cleanup.models.history import as_stored
from session_cleanup.policies.claims import Claims, concrete

Rows = QuerySet[Any]
Values = Mapping[str, Any]
Write = Callable[[Rows, Values], int]  # writes values to rows, and tells to how many


class RunClock:
    """Stands for the run clock in the values of an action."""

    def __repr__(self) -> str:
        return "RUN_CLOCK"


RUN_CLOCK = RunClock()


@dataclass(frozen=True)
class Effect:
    """How many rows a batch changed: of the policy's own model, and of related models by label; and what
    else its action counts, such as bytes."""

    changed: int
    related: Mapping[str, int] = field(default_factory=dict)
    figures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Action:
    """One effect on the rows that are due."""

    name: ClassVar[str]
    verb: ClassVar[str]  # past participle, as in "sessions deleted"
    # Whether a row that refers to a locked row may be inserted while the batch is under way.
    lets_children_in: ClassVar[bool] = True
    # Whether undo records can keep what it does, so that `undo` of a policy means something.
    can_be_undone: ClassVar[bool] = False

    def condition(self) -> Q:
        """What must be so of a row, beside what its policy says, and is not when it is done to it."""
        return Q()

    def apply(self, rows: Rows, claims: Claims) -> Effect:
        """Do it to `rows`: a few, named by key, locked and known to be due."""
        raise NotImplementedError


def written(rows: Rows, values: Values) -> int:
    return rows.update(**values)


@dataclass(frozen=True)
class Update(Action):
    """Set `values` on the rows, and other values on the rows that a relation leads to.

    Values are constants, F() expressions over the row, or RUN_CLOCK. `related` maps a reverse relation
    to values: `{"members": {"is_online": False}}`; related rows that already have them are left alone
    and not counted. `auto_now` fields do not move by themselves: name them.
    """

    values: Values
    related: Mapping[str, Values] = field(default_factory=dict)

    name: ClassVar[str] = "update"
    verb: ClassVar[str] = "updated"
    can_be_undone: ClassVar[bool] = True
    # Whether `values` and `related` are all that it does, so that it need not be asked to `apply` them.
    says_all: ClassVar[bool] = True

    def __post_init__(self) -> None:
        mappings = [self.values, self.related]
        if isinstance(self.related, Mapping):
            mappings += self.related.values()
        if not all(isinstance(each, Mapping) for each in mappings):
            raise PolicyError(f"{self!r}: give dicts of column to value, such as {{'is_online': False}}.")
        if not self.values or any(not values for values in self.related.values()):
            raise PolicyError(f"{self!r} sets nothing. Name at least one column and its new value.")
        for relation, values in self.related.items():
            if not _constants(values):
                raise PolicyError(
                    f"{self!r} sets nothing constant on {relation!r}, so a row already done could not be "
                    "told from one to be done. Set one column there to a constant."
                )

    def apply(self, rows: Rows, claims: Claims, write: Write = written) -> Effect:
        related = self.apply_related(rows, claims, write)
        return Effect(write(rows, resolved(self.values, claims)), related)

    def apply_related(self, rows: Rows, claims: Claims, write: Write = written) -> dict[str, int]:
        """Change only the related rows; how many, by label."""
        counts = {}
        for children, values in self.effects(rows, claims):
            if count := write(children, resolved(values, claims)):
                counts[children.model._meta.label] = count
        return counts

    def related_models(self, model: type[Model]) -> set[type[Model]]:
        """The concrete models of the related rows that it may change."""
        return {concrete(related_by(model, name).related_model) for name in self.related}

    def done_to(self, rows: Rows) -> Rows:
        """Those of `rows` that still look as the action left them."""
        constants = _constants(self.values)
        return rows.filter(_equal(constants)) if constants else rows

    def effects(
        self, rows: Rows, claims: Claims, leads_there: Callable[[Any], Q] | None = None
    ) -> Iterator[tuple[Rows, Values]]:
        """The related rows that would really change, with their new values.

        `leads_there` gives the condition that a foreign key leads to one of `rows`, if they are not asked.
        """
        for name, values in self.related.items():
            relation = related_by(rows.model, name)
            among = leads_there(relation.field) if leads_there else Q(**{f"{relation.field.name}__in": rows})
            children = claims.free(relation.related_model).filter(among)
            constants = _constants(values)
            yield (children.filter(~_equal(constants)) if constants else children), values


@dataclass(frozen=True)
class Deactivate(Update):
    """Set `field` to False, and what else `stamp` says: `stamp={"ended_at": RUN_CLOCK}`."""

    name: ClassVar[str] = "deactivate"
    verb: ClassVar[str] = "deactivated"

    def __init__(
        self,
        field: str = "is_active",
        *,
        stamp: Values | None = None,
        related: Mapping[str, Values] | None = None,
    ) -> None:
        object.__setattr__(self, "field", field)
        super().__init__({field: False, **(stamp or {})}, related or {})


@dataclass(frozen=True)
class Close(Update):
    """Set when and how a row ended: `Close(ended_at=F("expires_at"), is_active=False)`."""

    name: ClassVar[str] = "close"
    verb: ClassVar[str] = "closed"

    def __init__(self, *, related: Mapping[str, Values] | None = None, **values: Any) -> None:
        super().__init__(values, related or {})


@dataclass(frozen=True)
class Delete(Action):
    """Delete rows and what cascades from them, exactly as QuerySet.delete() would."""

    name: ClassVar[str] = "delete"
    verb: ClassVar[str] = "deleted"

    lets_children_in: ClassVar[bool] = False  # one inserted now must wait, then fail
    can_be_undone: ClassVar[bool] = True

    def apply(self, rows: Rows, claims: Claims) -> Effect:
        _, counts = rows.delete()
        own = rows.model._meta.concrete_model._meta.label
        related = {label: count for label, count in counts.items() if label != own and count}
        return Effect(counts.get(own, 0), related)


@dataclass(frozen=True)
class Archive(Delete):
    """Delete rows and what cascades from them once they are kept elsewhere.

    to       "undo": in the table of undo records, from which `restore_sessions` takes them back;
             "storage": in compressed files of the storage that STORAGES calls "session_cleanup_archive"
    keep     how long undo records are kept; None: for ever. Files are the storage's own to keep.
    """

    to: Literal["undo", "storage"] = "undo"
    keep: timedelta | None = None

    name: ClassVar[str] = "archive"
    verb: ClassVar[str] = "archived"
    can_be_undone: ClassVar[bool] = False  # it is kept already

    def __post_init__(self) -> None:
        if self.to not in ("undo", "storage"):
            raise PolicyError(f"Archive(to={self.to!r}): choose 'undo' or 'storage'.")
        if self.keep is not None and not is_retention(self.keep):
            raise PolicyError(
                f"Archive(keep={self.keep!r}): give {RETENTION}, or None to keep them for ever."
            )
        if self.keep is not None and self.to == "storage":
            raise PolicyError(
                "Archive(to='storage') keeps files for as long as the storage does. Leave `keep` out, and "
                "give the storage a rule of its own."
            )


ARCHIVE = "session_cleanup_archive"  # in STORAGES
RETENTION = "a timedelta from an hour to 3650 days"


def is_retention(value: object) -> bool:
    return isinstance(value, timedelta) and timedelta(hours=1) <= value <= timedelta(days=3650)


def is_constant(value: object) -> bool:
    return not (isinstance(value, RunClock) or hasattr(value, "resolve_expression"))


def related_by(model: type[Model], name: str) -> ManyToOneRel:
    """The reverse foreign key of `model` that filters call `name`."""
    relation = model._meta.get_field(name)
    if not isinstance(relation, ManyToOneRel):
        raise PolicyError(
            f"{model._meta.label}.{name} is no reverse foreign key, so no effect can follow it. Name the "
            'relation as a filter does, such as "members".'
        )
    return relation


def resolved(values: Values, claims: Claims) -> dict[str, Any]:
    """The values as Django writes them, the run clock in place of RUN_CLOCK."""
    now = as_stored(claims.now)
    return {key: now if isinstance(value, RunClock) else value for key, value in values.items()}


def _constants(values: Values) -> dict[str, Any]:
    return {key: value for key, value in values.items() if is_constant(value)}


def _equal(constants: Values) -> Q:
    return Q(
        **{
            (f"{key}__isnull" if value is None else key): (True if value is None else value)
            for key, value in constants.items()
        }
    )
