"""The rows that go along with some rows, found level by level, locked, and traced back to where they hang."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Model, QuerySet

from session_cleanup.engine.cascades import Edge, descend
from session_cleanup.policies.claims import AmongKeys

Rows = QuerySet[Any]
Row = tuple[type[Model], Any]  # a concrete model and a primary key


@dataclass
class Reach:
    """What a delete of `keys` of `model` reaches: `going` has the keys of the rows that go, by model.

    Only the models of `by_key` are listed there; rows of others can be named by what they refer to.
    """

    model: type[Model]
    keys: list[Any]
    by_key: set[type[Model]]
    using: str
    skip_locked: bool = False
    going: dict[type[Model], list[Any]] = field(default_factory=lambda: defaultdict(list))
    ways: list[tuple[Edge, list[tuple[Any, Any]]]] = field(default_factory=list)  # (child, parent) keys
    locked: set[Row] = field(default_factory=set)  # rows that somebody else's lock below keeps

    def __post_init__(self) -> None:
        for model, keys in descend(self.model, self.keys, self._follow):
            self.going[model] += keys

    def rows(self, model: type[Model]) -> Rows:
        return self._among(model, "pk", self.going[model])

    def referring(self, edge: Edge) -> Rows:
        """The rows whose foreign key leads to a row that goes."""
        return self._children(edge, self._referred(edge, self.going[edge.parent]))

    def referred(self, edge: Edge, values: Iterable[Any]) -> set[Row]:
        """The rows that go to which these values of a foreign key lead."""
        found = set(values)
        keys = self._referred(edge, self.going[edge.parent]) if found else {}
        return {(edge.parent, keys.get(value)) for value in found}

    def lock(self, edge: Edge) -> None:
        """Lock what refers to rows that go; what somebody else has locked keeps them."""
        self._take(edge, self.going[edge.parent])

    def roots_of(self, blocked: set[Row]) -> set[Any]:
        """Those of `keys` from which a delete would come to a row of `blocked`."""
        size = 0
        while size < len(blocked):
            size = len(blocked)
            for edge, pairs in reversed(self.ways):
                blocked |= {
                    (edge.parent, parent) for child, parent in pairs if (edge.child, child) in blocked
                }
        return {key for key in self.keys if (self.model, key) in blocked}

    def _follow(self, edge: Edge, keys: list[Any]) -> list[Any]:
        if edge.child not in self.by_key:
            return []
        pairs = self._take(edge, keys)
        self.ways.append((edge, pairs))
        return [child for child, _ in pairs]

    def _take(self, edge: Edge, keys: list[Any]) -> list[tuple[Any, Any]]:
        """Lock the children of the rows with these keys: (key, key of its parent) of each."""
        referred = self._referred(edge, keys)
        rows = self._children(edge, referred).values_list("pk", edge.field.attname)
        taken = list(rows.select_for_update(skip_locked=self.skip_locked))
        if self.skip_locked:  # only now can it be seen which were not to be had
            missed = set(rows) - set(taken)
            self.locked |= {(edge.parent, referred.get(value)) for _, value in missed}
        return [(child, referred.get(value)) for child, value in taken]

    def _children(self, edge: Edge, referred: dict[Any, Any]) -> Rows:
        return self._among(edge.child, edge.field.attname, list(referred))

    def _among(self, model: type[Model], column: str, values: list[Any]) -> Rows:
        rows: Rows = QuerySet(model, using=self.using)
        return rows.filter(AmongKeys(F(column), values)) if values else rows.none()

    def _referred(self, edge: Edge, keys: list[Any]) -> dict[Any, Any]:
        """What a foreign key holds that leads to one of these rows, and the key of that row."""
        target = edge.field.target_field
        if target.primary_key:
            return dict(zip(keys, keys, strict=True))
        rows = self._among(edge.parent, "pk", keys)
        return {value: key for value, key in rows.values_list(target.attname, "pk") if value is not None}
