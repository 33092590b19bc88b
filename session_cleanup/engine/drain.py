"""Drains one job: walks it batch by batch until nothing that is due is left, or a limit says stop.

A batch in trouble is split, down to one row; a row whose lock cannot be had is passed over and waited
for at the end, one row a transaction, holding nothing else. What is refused even then is counted as
skipped. An error that none of this cures ends the job as failed, with all earlier batches kept.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, connections

from session_cleanup.conf import conf
from session_cleanup.engine.batches import Batches, Refused
from session_cleanup.engine.connections import Trouble, trouble
from session_cleanup.engine.footprint import PROTECTED
from session_cleanup.engine.pacing import EndState, Pace
from session_cleanup.engine.protection import frees_itself
from session_cleanup.engine.walks import KeysetWalk, Slice
from session_cleanup.exceptions import SessionCleanupError
from session_cleanup.policies.actions import Delete, Update

logger = logging.getLogger(__name__)
Progress = Callable[[int], None]
REMEMBERED = 10_000  # keys of locked rows kept for the end; more are counted as skipped at once


class Drain:
    """One job under way."""

    def __init__(self, batches: Batches, pace: Pace, progress: Progress) -> None:
        self.batches = batches
        self.pace = pace
        self.progress = progress
        self.passed_over: list[Any] = []
        self.to_sweep: list[Any] = []  # rows whose related rows are looked at once more
        self.attempts = 0  # failures in a row of the same batch

    def run(self) -> EndState:
        """Act on all that is due; returns why it ended."""
        end = self._passes() or self._wait_for_locked()
        self._sweep()
        if end is not None:
            return end
        return EndState.DRAINED_WITH_SKIPS if self.batches.skipped else EndState.DRAINED

    def _passes(self) -> EndState | None:
        """Walk the table; again while a pass may have deleted what protected another row."""
        policy = self.batches.policy
        again = isinstance(policy.action, Delete) and frees_itself(policy.get_model())
        while True:
            before = self.batches.totals.changed
            self.passed_over.clear()
            if end := self._walk():
                return end
            changed = self.batches.totals.changed > before
            if not (again and changed and self.batches.skipped[PROTECTED]):
                return None
            self.batches.forget_skips()

    def _walk(self) -> EndState | None:
        walk = KeysetWalk(self.batches.policy, self.batches.claims)
        while True:
            if end := self.pace.over():
                return end
            found = self._find(walk)
            if found.keys and (end := self._act(found, walk)):
                return end
            if found.last:
                return None
            if found.end == walk.position:
                raise SessionCleanupError(f"The walk did not get beyond {found.end!r}: a fault of this app.")
            walk.position = found.end

    def _find(self, walk: KeysetWalk) -> Slice:
        while True:
            try:
                found = walk.step(self.pace.next_size(self.batches.totals.changed) or 1)
            except (DatabaseError, InterfaceError) as error:
                self._in_trouble([], error)
            else:
                self.attempts = 0
                return found

    def _act(self, found: Slice, walk: KeysetWalk) -> EndState | None:
        """Run the slice in batches, ever smaller ones where there is trouble."""
        parts = deque([found.keys])
        while parts:
            if end := self.pace.over():
                return end
            size = self.pace.next_size(self.batches.totals.changed)
            if not size:
                return EndState.CAPPED
            keys = parts.popleft()
            if len(keys) > size:
                parts.appendleft(keys[size:])
                keys = keys[:size]
            try:
                due, locked = self.batches.run(keys, walk.saved(walk.position if parts else found.end))
            except Refused as refused:
                if len(keys) == 1:
                    self.batches.skip(refused.skip)
                else:
                    parts.extendleft(reversed(_halves(keys)))
            except (DatabaseError, InterfaceError) as error:
                parts.extendleft(reversed(self._in_trouble(keys, error)))
            else:
                self.attempts = 0
                self.pace.went_well()
                self._pass_over(locked)
                self._changed(due)
                self.pace.rest()
        return None

    def _changed(self, keys: list[Any]) -> None:
        self.progress(self.batches.totals.changed)
        if self._children_slip_in:
            self.to_sweep += keys
            if len(self.to_sweep) >= REMEMBERED:
                self._sweep()

    @property
    def _children_slip_in(self) -> bool:
        """Whether somebody else can insert a related row while a batch is under way."""
        action = self.batches.policy.action
        one_writer = connections[self.batches.claims.using].vendor == "sqlite"
        return isinstance(action, Update) and bool(action.related) and not one_writer

    def _sweep(self) -> None:
        """Look once more at the related rows of what was changed, until that is done or given up."""
        parts, self.to_sweep = deque([self.to_sweep]), []
        while parts:
            keys = parts.popleft()
            if len(keys) > self.pace.size:
                parts.appendleft(keys[self.pace.size :])
                keys = keys[: self.pace.size]
            try:
                if keys:
                    self.batches.sweep(keys)
            except (DatabaseError, InterfaceError) as error:
                parts.extendleft(reversed(self._in_trouble(keys, error, self._give_up)))

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
        logger.warning(
            "batch failed job=%s rows=%d trouble=%s error=%s",
            *(self.batches.policy.name, len(keys), kind and kind.name, str(error).strip()),
        )
        if kind is None:
            raise error
        self.pace.went_badly()
        if kind in (Trouble.LOCKED, Trouble.TOO_SLOW) and len(keys) > 1:
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
            self.batches.unsure = True
        return [keys]

    def _give_up(self, keys: list[Any]) -> None:
        self.batches.skip("locked", len(keys))

    def _pass_over(self, keys: list[Any]) -> None:
        room = max(REMEMBERED - len(self.passed_over), 0)
        self.passed_over += keys[:room]
        if len(keys) > room:
            self.batches.skip("locked", len(keys) - room)

    def _wait_for_locked(self) -> EndState | None:
        deadline = time.monotonic() + conf.LOCKED_WAIT_MS / 1000
        # No single wait may outlast a statement or the lease.
        longest = min(conf.STATEMENT_TIMEOUT_MS // 2, conf.LEASE_SECONDS * 1000 // 3)
        waiting = deque(self.passed_over)
        while waiting:
            if end := self.pace.over():
                return end
            if not self.pace.next_size(self.batches.totals.changed):
                return EndState.CAPPED
            key = waiting.popleft()
            left_ms = int((deadline - time.monotonic()) * 1000)
            try:
                due, _ = self.batches.run([key], None, wait_ms=max(min(left_ms, longest), 1))
            except Refused as refused:
                self.batches.skip(refused.skip)
            except (DatabaseError, InterfaceError) as error:
                if trouble(error, self.batches.claims.using) is Trouble.LOCKED:
                    self.batches.skip("locked")
                else:
                    waiting.extendleft(key for (key,) in self._in_trouble([key], error))
            else:
                self._changed(due)
        return None


def _halves(keys: list[Any]) -> list[list[Any]]:
    middle = len(keys) // 2
    return [keys[:middle], keys[middle:]]
