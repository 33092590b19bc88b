"""Deletes rows and what goes with them, as QuerySet.delete() would, in a few statements a batch.

Why it is safe. The rows to delete are locked FOR UPDATE, and so is every row below them that has
something of its own below it, before its children are looked for: a row can be made to refer to one of
them only when that lock is gone, and then it is too late. A row without anything below it is deleted or
updated by one statement whose only condition is its own foreign key: the database judges that again on
the newest version of the row, under its lock. So a child that was moved to another parent stays, whoever
was first. Rows are deleted in Django's order: those without anything below them, then references are
replaced, then the others, leaves first.

A child that somebody else has locked is waited for as long as the batch may wait (lock_timeout). When
that is too long, the attempt is undone, what is below is locked as far as it can be had at once, and the
rows that lead to the remainder are left out.

Django's collector does it where code of the project has a say: receivers, a SET() of a callable, a base
manager that may hide rows; and where rows are tied otherwise than by a foreign key to a plain key:
multi-table inheritance, generic relations, keys of several columns.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db import OperationalError, connections, transaction
from django.db.models import F, ForeignKey, Model, QuerySet
from django.db.models.deletion import DO_NOTHING, PROTECT, RESTRICT, ProtectedError, RestrictedError

from session_cleanup.engine import cascades, protection
from session_cleanup.engine.at_once import ROWS, LeadsTo, Part
from session_cleanup.engine.cascades import Edge
from session_cleanup.engine.collecting import delete_and_keep
from session_cleanup.engine.connections import Trouble, trouble
from session_cleanup.engine.exactness import has_receivers
from session_cleanup.engine.footprint import HELD, PROTECTED
from session_cleanup.engine.reach import Reach, Row
from session_cleanup.engine.refusal import LOCKED, Refused
from session_cleanup.engine.undo import Undo
from session_cleanup.engine.writing import Writer
from session_cleanup.models import Hold
from session_cleanup.models.history import has_text_key, is_textual
from session_cleanup.policies.actions import Delete, Effect
from session_cleanup.policies.claims import AmongKeys, Claims, concrete


@dataclass(frozen=True)
class Deleted:
    """What became of a batch: the effect, and the keys that were left out or must stay."""

    effect: Effect
    left_out: list[Any] = field(default_factory=list)  # somebody else has locked a row below
    skipped: Counter[str] = field(default_factory=Counter)  # by reason


class Deletion:
    """How rows of one model are deleted; built once a job."""

    def __init__(self, model: type[Model], claims: Claims, writer: Writer | None = None) -> None:
        self.model = concrete(model)
        self.claims = claims
        self.writer = writer or Writer()
        self.order = cascades.parents_first(self.model)
        every = [edge for at in self.order for edge in cascades.edges(at)]
        self.edges = [edge for edge in every if edge.on_delete is not DO_NOTHING]
        # The models whose rows are named by key, for something hangs on them or they may restrict.
        self.by_key = {self.model, *(edge.parent for edge in self.edges)}
        self.by_key |= {edge.child for edge in self.edges if edge.on_delete is RESTRICT}
        self.cyclic = cascades.is_cyclic(self.model)

    @cached_property
    def alone(self) -> bool:
        """Whether deleting a row touches no other table and runs no code of the project."""
        return not cascades.edges(self.model) and _is_plain(self.model) and cascades.is_seen_whole(self.model)

    @cached_property
    def fast(self) -> bool:
        """Whether a few statements a batch do it; else Django's collector does."""
        keyed = all(has_text_key(at) for at in self.by_key)
        return keyed and all(map(_is_plain, self.order)) and all(map(_is_plain_edge, self.edges))

    @cached_property
    def at_once(self) -> bool:
        """Whether one statement can delete rows and what goes with them: where no model is met twice."""
        children = [edge.child for edge in self.edges]
        simple = len({self.model, *children}) == len(children) + 1
        keyed = all(has_text_key(child) for child in children)
        return self.nests and simple and keyed and all(map(_is_simple_edge, self.edges))

    def parts(self, rows: QuerySet[Any]) -> list[Part]:
        """The parts of that statement."""
        names = {self.model: ROWS} | {edge.child: f"below{n}" for n, edge in enumerate(self.edges)}
        parts = [Part(ROWS, rows, None, kept=self.writer.deleted(self.model))]
        for edge in self.edges:
            leads_there = LeadsTo(F(edge.field.attname), names[edge.parent])
            children = self.claims.reachable(edge.child).filter(leads_there)
            values = {edge.field.name: edge.replacement} if edge.nulls else None
            kept = self.writer.unlinked(edge) if edge.nulls else self.writer.deleted(edge.child)
            parts.append(Part(names[edge.child], children, values, counted=edge.cascades, kept=kept))
        return parts

    @cached_property
    def nests(self) -> bool:
        """Whether each batch is tried in a transaction within its own, for locks that cannot be had."""
        features = connections[self.claims.using].features
        return self.fast and bool(self.edges) and features.has_select_for_update_skip_locked

    def delete(self, keys: list[Any]) -> Deleted:
        """Delete the rows `keys`, which are locked and judged, inside the transaction of their batch.

        Raises Refused where only some of them can go and it cannot tell which.
        """
        if not self.fast:
            return Deleted(self._by_django(keys))
        if not self.nests:
            return self._by_keys(keys)
        try:
            with transaction.atomic(using=self.claims.using):
                return self._by_keys(keys)
        except OperationalError as error:
            if trouble(error, self.claims.using) is not Trouble.LOCKED:
                raise
        return self._by_keys(keys, skip_locked=True)

    def _by_keys(self, keys: list[Any], *, skip_locked: bool = False) -> Deleted:
        """Delete as many as can go: the others, and what is found only by way of them, stay."""
        left_out: list[Any] = []
        skipped: Counter[str] = Counter()
        while True:
            reach = Reach(self.model, keys, self.by_key, self.claims.using, skip_locked)
            why, blocked = next(((why, rows) for why, rows in self._obstacles(reach) if rows), ("", set()))
            if not blocked:
                break
            stay = reach.roots_of(blocked)
            if not stay:
                raise Refused(why)
            if why == LOCKED:
                left_out += stay
            else:
                skipped[why] += len(stay)
            keys = [key for key in keys if key not in stay]
        counts = self._act(reach)
        return Deleted(Effect(counts.pop(self.model._meta.label, 0), counts), left_out, skipped)

    def _obstacles(self, reach: Reach) -> Iterator[tuple[str, set[Row]]]:
        """Why not all can go, and the rows that cannot; later reasons are looked for if asked for."""
        if reach.skip_locked:
            for edge in self.edges:
                if edge.nulls or self._is_leaf(edge):
                    reach.lock(edge)
            yield LOCKED, reach.locked
        if self.cyclic:  # no condition of the batch reached all depths
            yield HELD, self._held(reach)
        yield PROTECTED, self._protected(reach)

    def _held(self, reach: Reach) -> set[Row]:
        touched = {*self.order, *(edge.child for edge in self.edges if edge.nulls)}
        holds = Hold.objects.using(self.claims.using).active(self.claims.now)
        if not holds.filter(model__in=[at._meta.label for at in touched]).exists():
            return set()
        found: set[Row] = set()
        for at in list(reach.going):
            rows = protection.under_hold(reach.rows(at), self.claims)
            found |= {(at, key) for key in rows.values_list("pk", flat=True)}
        for edge in self.edges:
            if edge.nulls or self._is_leaf(edge):
                rows = protection.under_hold(reach.referring(edge), self.claims)
                found |= reach.referred(edge, rows.values_list(edge.field.attname, flat=True))
        return found

    def _protected(self, reach: Reach) -> set[Row]:
        found: set[Row] = set()
        for edge in self.edges:
            if edge.on_delete in (PROTECT, RESTRICT):
                going = set(reach.going[edge.child]) if edge.on_delete is RESTRICT else set()
                rows = reach.referring(edge).values_list("pk", edge.field.attname)
                found |= reach.referred(edge, (value for key, value in rows if key not in going))
        return found

    def _act(self, reach: Reach) -> Counter[str]:
        counts: Counter[str] = Counter()
        for edge in reversed(self.edges):
            if self._is_leaf(edge):
                counts[edge.child._meta.label] += self.writer.delete(reach.referring(edge))
        for edge in self.edges:
            seen = self.writer.keeps and edge.on_delete is cascades.DB_SET_NULL  # before the database does it
            if edge.nulls and (seen or not edge.in_database):
                self.writer.unlink(reach.referring(edge), edge)
        for at in reversed(self.order):
            counts[at._meta.label] += self.writer.delete(reach.rows(at))
        return +counts

    def _is_leaf(self, edge: Edge) -> bool:
        return edge.cascades and edge.child not in self.by_key

    def _by_django(self, keys: list[Any]) -> Effect:
        every: QuerySet[Any] = QuerySet(self.model, using=self.claims.using)
        rows = every.filter(AmongKeys(F("pk"), keys))
        if protection.needs_a_look(self.model) and protection.takes_held_rows(rows, self.claims):
            raise Refused(HELD)
        self._lock_below(rows)
        counts = self._cascaded_by_database(rows)
        try:
            effect = self._collected(rows)
            counts |= Counter(effect.related) + Counter({self.model._meta.label: effect.changed})
        except (ProtectedError, RestrictedError):
            raise Refused(PROTECTED) from None  # a row came to refer to it a moment ago
        except RecursionError:  # Django's collector descends one call a level; nothing was written yet
            parts: Counter[str] = Counter()
            for part in cascades.leaves_first(rows, self.claims):
                effect = self._collected(part)
                parts.update({part.model._meta.label: effect.changed, **effect.related})
            counts |= parts
        return Effect(counts.pop(self.model._meta.label, 0), counts)

    def _collected(self, rows: QuerySet[Any]) -> Effect:
        if isinstance(self.writer, Undo):
            return delete_and_keep(rows, self.writer, self.claims)
        return Delete().apply(rows, self.claims)

    def _lock_below(self, rows: QuerySet[Any]) -> None:
        """Lock what goes along, so that nobody moves it to a row that stays while the collector reads."""
        if connections[self.claims.using].features.has_select_for_update:
            for going in cascades.deleted_with(rows, self.claims).values():
                list(going.select_for_update().values_list("pk", flat=True))

    def _cascaded_by_database(self, rows: QuerySet[Any]) -> Counter[str]:
        """How many rows go, by label, where the database deletes some that Django does not count."""
        if not any(edge.cascades and edge.in_database for edge in self.edges):
            return Counter()
        gone = cascades.deleted_with(rows, self.claims)
        return Counter({at._meta.label: going.count() for at, going in gone.items()})


def _is_plain(model: type[Model]) -> bool:
    """Whether a row is one row of one table, and no code of the project hears of its end."""
    ties = model._meta.parents or protection.generic_relations(model)
    return not (ties or has_receivers(model))


def _is_simple_edge(edge: Edge) -> bool:
    """Whether its rows are deleted, or lose their reference, whatever else refers to them."""
    to_key = edge.field.target_field.primary_key
    return to_key and not edge.in_database and (edge.cascades or edge.nulls)


def _is_plain_edge(edge: Edge) -> bool:
    """Whether its rows can be found, and what becomes of them is known, without code of the project."""
    return (
        isinstance(edge.field, ForeignKey)
        and is_textual(edge.field.target_field)
        and cascades.is_seen_whole(edge.child)
        and not edge.runs_code
    )
