"""Gets a batch through, whatever is in its way: first as a whole, then ever smaller parts of it.

A slice of the heap that waits for a lock goes by keys; a batch by keys passes over the rows whose locks
cannot be had, and is halved, down to one row, where there is other trouble. The rows passed over are
waited for at the end, one row a transaction, holding nothing else, so that no other writer waits behind
our own waiting. What is refused even then is counted as skipped. An error that none of this cures ends
the job as failed, with all earlier batches kept.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, connections

from session_cleanup.conf import conf
from session_cleanup.engine.batches import Batches
from session_cleanup.engine.connections import Alone, Trouble, trouble
from session_cleanup.engine.counts import Cursor
from session_cleanup.engine.heaps import Slice
from session_cleanup.engine.pacing import FIRST_ROWS, MOST_ROWS, EndState, Pace, Size
from session_cleanup.engine.refusal import Refused
from session_cleanup.engine.walks import Keys
from session_cleanup.policies.actions import Update
from session_cleanup.policies.selections import ONE_BY_ONE

logger = logging.getLogger(__name__)
T = TypeVar("T")
REMEMBERED = 10_000  # keys of locked rows kept for the end; more are counted as skipped at once


class Outcome(Enum):
    """What became of a slice of the heap."""

    DONE = "all that was due in it is done"
    AGAIN = "nothing was done; ask for it again, it may be smaller"
    BY_KEYS = "it does not go as a whole"


class Ladder:
    """The batches of one job, with what to do when one of them fails."""

    def __init__(self, batches: Batches, pace: Pace, progress: Callable[[], None]) -> None:
        self.batches = batches
        self.pace = pace
        self.progress = progress
        self.passed_over: list[Any] = []
        self.to_sweep: list[Any] = []  # rows whose related rows are looked at once more
        self.alone: Alone | None = None  # since the first of these
        self.sweeping = Size(FIRST_ROWS, MOST_ROWS)
        self.attempts = 0  # failures in a row of the same batch

    def begin_again(self) -> None:
        """Another pass looks at the same rows again."""
        self.passed_over.clear()
        self.batches.counts.forget_skips()

    def search(self, find: Callable[[], T]) -> T:
        """What `find` gives; in trouble it is asked again."""
        before = self.attempts  # of a batch that this search is for: only its success ends them
        while True:
            try:
                found = find()
            except (DatabaseError, InterfaceError) as error:
                self._in_trouble([], error)
            else:
                self.attempts = before
                return found

    def act(self, keys: list[Any], cursor: Cursor) -> EndState | None:
        """Act on rows in batches, ever smaller ones where there is trouble; `cursor` is behind the last."""
        parts = deque([keys] if keys else [])
        while parts:
            if end := self.pace.over():
                return end
            size = self.pace.next_rows(self.batches.counts.totals.changed)
            if not size:
                return EndState.CAPPED
            keys = parts.popleft()
            if len(keys) > size:
                parts.appendleft(keys[size:])
                keys = keys[:size]
            try:
                if taken := self.batches.take(keys):
                    parts.extendleft([rest] if (rest := keys[len(taken) :]) else [])
                    keys = taken
                due, locked = self._run(keys, None if parts else cursor)
            except Refused as refused:
                if len(keys) == 1:
                    self.batches.counts.skip(refused.skip)
                else:
                    parts.extendleft(reversed(_halves(keys)))
            except (DatabaseError, InterfaceError) as error:
                parts.extendleft(reversed(self._in_trouble(keys, error)))
            else:
                self.pace.rows.took(len(keys), self.batches.seconds, self.pace.target)
                self._pass_over(locked)
                self._done(due)
        return None

    def _run(self, keys: list[Any], cursor: Cursor | None) -> tuple[list[Any], list[Any]]:
        """As a whole if nobody has locked one of the rows; else those that are not locked.

        Several rows are given up early like a slice; a single one may take as long as a statement may.
        """
        self._watch()
        patience = self._patience_ms if len(keys) > 1 else None
        try:
            return self.batches.run_whole(Keys(keys), cursor, statement_ms=patience)
        except Refused:
            pass
        except (DatabaseError, InterfaceError) as error:
            if trouble(error, self.batches.claims.using) is not Trouble.LOCKED:
                raise
        return self.batches.run(keys, cursor)

    def act_on_slice(self, part: Slice, cursor: Cursor) -> Outcome:
        """Act on a slice of the heap at once, giving up early what would make other writers wait."""
        too_many = part.rows > self.pace.most_rows(self.batches.counts.totals.changed)
        if too_many or self.pace.heap.now < 1 or self.batches.acting.rewrites:
            return Outcome.BY_KEYS
        self._watch()
        patience = self._patience_ms
        try:
            due, locked = self.batches.run_whole(part, cursor, statement_ms=patience)
        except Refused:
            return Outcome.BY_KEYS
        except (DatabaseError, InterfaceError) as error:
            kind = trouble(error, self.batches.claims.using)
            if kind not in (Trouble.LOCKED, Trouble.TOO_SLOW):
                self._in_trouble([], error)
                return Outcome.AGAIN
            logger.info("slice failed job=%s trouble=%s", self.batches.policy.name, kind.name)
            if kind is Trouble.LOCKED:
                return Outcome.BY_KEYS
            self.pace.heap.gave_up(part.size, patience / 1000)
            return Outcome.AGAIN
        self.pace.heap.took(part.size, self.batches.seconds, self.pace.target)
        self._pass_over(locked)
        self._done(due)
        return Outcome.DONE

    @property
    def _patience_ms(self) -> int:
        return min(int(self.pace.patience * 1000), conf.STATEMENT_TIMEOUT_MS)

    def act_by_keys(self, part: Slice, cursor: Cursor) -> EndState | None:
        """Act on the rows of a slice one by one, or as many at a time as goes well."""
        rows = part.of(self.batches.policy.matching(self.batches.claims, part=ONE_BY_ONE))
        started = time.monotonic()
        keys = self.search(lambda: list(rows.order_by("pk").values_list("pk", flat=True)))
        if len(keys) < self.pace.rows.now and time.monotonic() - started < self.pace.target:
            self.pace.heap.now *= 2  # less than a batch; and by and by a slice is tried as a whole again
        return self.act(keys, cursor) if keys else None

    def _done(self, keys: list[Any]) -> None:
        self.attempts = 0
        self._changed(keys)
        self.pace.rest(self.batches.seconds)

    def _changed(self, keys: list[Any]) -> None:
        self.progress()
        if self._children_slip_in:
            self.to_sweep += keys
            if len(self.to_sweep) >= REMEMBERED:
                self.sweep()

    @property
    def _children_slip_in(self) -> bool:
        """Whether somebody else can insert a related row while a batch is under way."""
        action = self.batches.policy.action
        one_writer = connections[self.batches.claims.using].vendor == "sqlite"
        return isinstance(action, Update) and bool(action.related) and not one_writer

    def sweep(self) -> None:
        """Look once more at the related rows of what was changed, until that is done or given up."""
        parts, self.to_sweep = deque([self.to_sweep] if self.to_sweep else []), []
        alone = bool(parts) and self.search(self._is_alone)
        if alone:
            parts.clear()  # there is nobody who could have made one
        self.alone = None
        while parts:
            keys = parts.popleft()
            size = self.sweeping.whole
            if len(keys) > size:
                parts.appendleft(keys[size:])
                keys = keys[:size]
            try:
                self.batches.sweep(keys)
                self.sweeping.took(len(keys), self.batches.seconds, self.pace.target)
            except (DatabaseError, InterfaceError) as error:
                parts.extendleft(reversed(self._in_trouble(keys, error, self._give_up)))

    def _watch(self) -> None:
        """From now on, take notice whether anybody else writes."""
        if self._children_slip_in and self.alone is None:
            self.alone = self.search(lambda: Alone(self.batches.claims.using, self.batches.spent))

    def _is_alone(self) -> bool:
        return self.alone is not None and self.alone.until(self.batches.spent, to_the_last=True)

    def _in_trouble(
        self,
        keys: list[Any],
        error: DatabaseError | InterfaceError,
        leave: Callable[[list[Any]], None] | None = None,
    ) -> list[list[Any]]:
        """What to try next for a batch that failed; raises the error when nothing is left to try.

        `leave` is told of a row whose lock cannot be had. Without keys it is a search that failed, to be
        tried again as it is.
        """
        using = self.batches.claims.using
        kind = trouble(error, using)
        divisible = kind in (Trouble.LOCKED, Trouble.TOO_SLOW) and len(keys) > 1
        logger.log(
            logging.INFO if divisible else logging.WARNING,
            "batch failed job=%s rows=%d trouble=%s error=%s",
            *(self.batches.policy.name, len(keys), kind and kind.name, str(error).strip()),
        )
        if kind is None:
            raise error
        if kind is Trouble.TOO_SLOW and divisible:
            self.pace.rows.gave_up(len(keys), self.pace.patience)
        else:
            self.pace.rows.now = max(self.pace.rows.now / 2, 1)
        if divisible:
            return _halves(keys)
        self.attempts += 1
        if self.attempts > conf.RETRIES or kind is Trouble.TOO_SLOW:
            if kind is not Trouble.LOCKED or not keys:
                raise error
            self.attempts = 0
            (leave or self._pass_over)(keys)
            return []
        self.pace.back_off(self.attempts)
        if kind is Trouble.LOST:
            connections[using].close()
            self.batches.counts.unsure = True
            if leave is None and self._children_slip_in:
                self.to_sweep += keys  # they may be done, and then are not met again
        return [keys]

    def _give_up(self, keys: list[Any]) -> None:
        self.batches.counts.skip("locked", len(keys))

    def _pass_over(self, keys: list[Any]) -> None:
        room = max(REMEMBERED - len(self.passed_over), 0)
        self.passed_over += keys[:room]
        if len(keys) > room:
            self.batches.counts.skip("locked", len(keys) - room)

    def wait_for_locked(self) -> EndState | None:
        deadline = time.monotonic() + conf.LOCKED_WAIT_MS / 1000
        # No single wait may outlast a statement or the lease.
        longest = min(conf.STATEMENT_TIMEOUT_MS // 2, conf.LEASE_SECONDS * 1000 // 3)
        waiting = deque(self.passed_over)
        while waiting:
            if end := self.pace.over():
                return end
            if not self.pace.next_rows(self.batches.counts.totals.changed):
                return EndState.CAPPED
            key = waiting.popleft()
            left_ms = int((deadline - time.monotonic()) * 1000)
            try:
                self.batches.take([key])
                due, _ = self.batches.run([key], None, wait_ms=max(min(left_ms, longest), 1))
            except Refused as refused:
                self.batches.counts.skip(refused.skip)
            except (DatabaseError, InterfaceError) as error:
                if trouble(error, self.batches.claims.using) is Trouble.LOCKED:
                    self.batches.counts.skip("locked")
                else:
                    waiting.extendleft(key for (key,) in self._in_trouble([key], error))
            else:
                self._changed(due)
        return None


def _halves(keys: list[Any]) -> list[list[Any]]:
    middle = len(keys) // 2
    return [keys[:middle], keys[middle:]]
