"""How a run moves through a table: in keyset order, or along its heap; never with an offset that grows.

A walk only finds candidates, without locks; the batch judges each row again when it acts on it. It goes
on behind the last row *seen*, whatever became of that row, so that no row can hold it up. Positions are
compared in the database, by its own collation and precision, never in Python.

Along an index the rows that are due are found without the others, one random read each. Along the heap
everything is read, but in order, and one statement finds and acts. So the heap is for tables of which a
large share is due, and for conditions that no index serves.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models import DateField, F, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast

from session_cleanup.conf import conf
from session_cleanup.engine.connections import Trouble, bounded, trouble
from session_cleanup.engine.heaps import Heap, Slice, heap_of
from session_cleanup.engine.pacing import FIRST_ROWS
from session_cleanup.engine.sql import Places, Prepared
from session_cleanup.models.history import plain
from session_cleanup.policies.claims import KEYS, AmongKeys, Claims, as_one_value
from session_cleanup.policies.conditions import column, facts
from session_cleanup.policies.indexes import served_by_index
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.positions import After, Place, Row, UpTo
from session_cleanup.policies.ranking import Ranked
from session_cleanup.policies.selections import ONE_BY_ONE

Position = tuple[Any, ...]
WINDOW = 20_000  # rows looked at by one statement of a selection that scans
DENSE = 0.03  # the share of rows that are due above which reading all of them is faster


@dataclass(frozen=True)
class Found:
    """The keys a step found (of a whole window, or as many as asked for), where to go on from, and
    whether that was the last step."""

    keys: list[Any]
    end: Position | None
    last: bool


class KeysetWalk:
    """Walks the rows that match a policy in the order of (its columns, primary key)."""

    name = "keyset"

    def __init__(self, policy: Policy, claims: Claims, position: Position | None = None) -> None:
        self.policy = policy
        self.claims = claims
        model = policy.get_model()
        fields = [column(name, model) for name in policy.select.columns]
        if model._meta.pk not in fields:
            fields.append(model._meta.pk)
        self.columns = [field.attname for field in fields]
        self.kinds = [plain(field) for field in fields]
        self.on_sqlite = connections[claims.using].vendor == "sqlite"
        self.position = position
        self.places = tuple(object() for _ in fields)  # of the values of a position
        self.prepared: dict[bool, Prepared] = {}  # with a position and without

    def step(self, size: int) -> Found:
        """Find rows behind the position: the next `size`, or all of the next window of a selection that
        scans. Move on with `position = found.end`."""
        if self.policy.select.scans:
            end = self._window_end()
            rows = self.policy.matching(self.claims, part=self._stretch(end))
            found = list(self._positions(rows.filter(self._between(self.position, end))))
            return Found([position[-1] for position in found], end, last=end is None)
        found = self._next(size)
        end = found[-1] if found else self.position
        return Found([position[-1] for position in found], end, last=len(found) < size)

    def _next(self, size: int) -> list[Position]:
        """The next rows that match: asked for so often that it is put into SQL only once."""
        begun = self.position is not None
        places = self._in_places(self.position) if self.position else {}
        if begun not in self.prepared:
            rows = self.policy.matching(self.claims, part=ONE_BY_ONE)
            if begun:
                rows = rows.filter(After(self._row(), self._values(self.places, Place)))
            self.prepared[begun] = Prepared(self._positions(rows))
        return self.prepared[begun].ask(places, most=size)

    def _in_places(self, position: Position) -> Places:
        connection = connections[self.claims.using]
        return {
            place: value if isinstance(kind, DateField) else kind.get_db_prep_value(value, connection)
            for place, kind, value in zip(self.places, self.kinds, position, strict=True)
        }

    @staticmethod
    def saved(position: Position | None) -> list[Any] | None:
        """A position as JSON: numbers as they are, all else as text."""
        if position is None:
            return None
        return [value if isinstance(value, int) else str(value) for value in position]

    def _window_end(self) -> Position | None:
        """The position a window further on; None when fewer rows are left."""
        model, select = self.policy.get_model(), self.policy.select
        known = facts(self.policy.where, model)
        fixed = {name: value for name, lookup, value in known if lookup == "exact" and name in self.columns}
        there = {f"{name}__isnull": False for name in select.needed}
        return self._further(self.claims.candidates(model).filter(**fixed, **there), self.position, WINDOW)

    def _stretch(self, end: Position | None) -> Q | None:
        """The condition of the rows up to `end` and those behind it that decide about them; None: of all."""
        select = self.policy.select
        if not isinstance(select, Ranked):
            return ONE_BY_ONE
        ranked = self.policy.met(self.claims).filter(select.there, select.counting(self.claims.now))
        last = None if end is None else self._further(ranked, end, select.looks)
        return self._between(self.position, last) or None

    def _further(self, rows: QuerySet[Any], position: Position | None, count: int) -> Position | None:
        """The position `count` rows further on; None when fewer are left."""
        behind = rows.filter(self._between(position, None))
        return next(iter(self._positions(behind)[count - 1 : count]), None)

    def _between(self, after: Position | None, up_to: Position | None) -> Q:
        """The condition that a row lies behind one position and not behind another."""
        found = Q()
        if after is not None:
            found &= Q(After(self._row(), self._values(after)))
        if up_to is not None:
            found &= Q(UpTo(self._row(), self._values(up_to)))
        return found

    def _positions(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The position of each row, the primary key last, in the order of the walk.

        Times stay the text that the database makes of them. Sent through Python, one that another writer
        has spelled otherwise (SQLite) would come back before or behind its row, and one before the year 1
        (PostgreSQL) not at all.
        """
        wanted = [
            Cast(name, TextField()) if isinstance(kind, DateField) else F(name)
            for name, kind in zip(self.columns, self.kinds, strict=True)
        ]
        return rows.order_by(*self.columns).values_list(*wanted)

    def _row(self) -> Row:
        return Row(*(F(column) for column in self.columns))

    def _values(self, position: Position, stated: type[Value] = Value) -> Row:
        pairs = zip(self.kinds, position, strict=True)
        return Row(*(self._value(kind, value, stated) for kind, value in pairs))

    def _value(self, kind: Any, value: Any, stated: type[Value]) -> Any:
        if not isinstance(kind, DateField):
            return stated(value, output_field=kind)
        text = stated(value, output_field=TextField())
        return text if self.on_sqlite else Cast(text, kind)


@dataclass(frozen=True)
class Keys:
    """Rows by their keys."""

    keys: list[Any]

    @staticmethod
    def of_any(rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of keys yet to be named: see `places`."""
        return rows.filter(AmongKeys(F("pk"), KEYS))

    def places(self, rows: QuerySet[Any]) -> Places:
        """What to put in the place of KEYS in the SQL of `of_any`."""
        key = plain(rows.model._meta.pk)
        return {KEYS: as_one_value(self.keys, key, connections[rows.db])}


class HeapWalk:
    """Walks a table in slices of its heap, as it was when the walk began.

    Rows that other writers move meanwhile, behind us or past the end, are left to another pass.
    """

    name = "heap"

    def __init__(self, heap: Heap, position: int | None = None) -> None:
        self.heap = heap
        self.position = heap.begin if position is None else position

    def step(self, size: float) -> Slice | None:
        """The next `size` places; None at the end. Move on with `position = slice.last`."""
        if self.position >= self.heap.end:
            return None
        places = max(int(size), 1)
        last = self.heap.after(self.position, places)
        return Slice(self.position, last, places, places * self.heap.rows_a_place)

    @property
    def share(self) -> float:
        """Which share of the way is done."""
        begin, end = self.heap.begin, self.heap.end
        return (self.position - begin) / (end - begin) if end > begin else 1.0


def choose(policy: Policy, claims: Claims) -> HeapWalk | None:
    """A walk along the heap, where that is the faster one or asked for; None: go in keyset order."""
    model = policy.get_model()
    heap = None if conf.WALK == "keyset" else heap_of(model, claims.using)
    if heap is None:
        return None
    if conf.WALK == "heap":
        return HeapWalk(heap)
    if heap.end < heap.small:
        return None
    if served_by_index(policy, model) and share_due(policy, claims, heap) < DENSE:
        return None
    return HeapWalk(heap)


def leads_to_heap(policy: Policy) -> bool:
    """Whether a run need not look first how much is due: nothing else is fit for it."""
    return HeapWalk.name == conf.WALK or not served_by_index(policy, policy.get_model())


def expected(policy: Policy, claims: Claims, due: int) -> str:
    """The name of the walk that a run would take with so many rows due."""
    heap = choose(policy, claims) if due > FIRST_ROWS or leads_to_heap(policy) else None
    return (heap or KeysetWalk).name


def share_due(policy: Policy, claims: Claims, heap: Heap) -> float:
    """Which share of its table is due, from a sample; 0 if even that took too long."""
    rows = claims.reachable(policy.get_model())
    try:
        with (
            transaction.atomic(using=claims.using),
            bounded(connections[claims.using], conf.STATS_TIMEOUT_MS),
        ):
            return heap.share(policy.matching(claims, part=ONE_BY_ONE), rows)
    except (DatabaseError, InterfaceError) as error:
        if trouble(error, claims.using) is Trouble.TOO_SLOW:
            return 0.0
        raise


def rule(policy: Policy) -> str:
    """What a position is good for: the same policy, word for word. Something without words of its own in
    it, which Python shows by its address, makes it another one in each process."""
    return hashlib.sha256(repr(policy).encode()).hexdigest()[:16]
