"""Drains one job: walks its table until nothing that is due is left, or a limit says stop.

Another pass follows where the first may have missed a row: behind the place where an interrupted run is
taken up again, where rows were moved along the heap, and where a row went that protected others.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from session_cleanup.conf import conf
from session_cleanup.engine.batches import Batches
from session_cleanup.engine.connections import Alone
from session_cleanup.engine.counts import Cursor
from session_cleanup.engine.footprint import PROTECTED
from session_cleanup.engine.heaps import heap_of
from session_cleanup.engine.ladder import Ladder, Outcome
from session_cleanup.engine.pacing import EndState, Pace, Size
from session_cleanup.engine.protection import frees_itself
from session_cleanup.engine.walks import HeapWalk, KeysetWalk, Position, choose, leads_to_heap, rule
from session_cleanup.exceptions import SessionCleanupError
from session_cleanup.policies.actions import Delete

Progress = Callable[[int, float | None], None]  # rows changed, and the share of the way if it is known


class Drain:
    """One job under way. `cursor` is where an earlier run stopped that did not drain."""

    def __init__(self, batches: Batches, pace: Pace, progress: Progress, cursor: Cursor | None) -> None:
        self.batches = batches
        self.policy = batches.policy
        self.pace = pace
        self.progress = progress
        self.rule = rule(batches.policy)
        ours = isinstance(cursor, dict) and cursor.get("rule") == self.rule
        self.cursor = cursor if ours else None
        self.share: float | None = None
        self.ladder = Ladder(batches, pace, lambda: progress(batches.counts.totals.changed, self.share))

    def run(self) -> EndState:
        """Act on all that is due; returns why it ended."""
        while True:
            end = self._passes() or self.ladder.wait_for_locked()
            self.ladder.sweep()
            if end is not None:
                return end
            if not self.batches.counts.undone:  # else a crash of the server took back batches behind us
                break
            self.batches.counts.undone = False
            self.ladder.begin_again()
        if self.batches.acting.inspection is not None:
            self.batches.acting.inspection.complain()
        return EndState.DRAINED_WITH_SKIPS if self.batches.counts.skipped else EndState.DRAINED

    def _passes(self) -> EndState | None:
        """Walk the table; again while a pass may have deleted what protected another row."""
        again = isinstance(self.policy.action, Delete) and frees_itself(self.policy.get_model())
        while True:
            before = self.batches.counts.totals.changed
            if end := self._pass():
                return end
            changed = self.batches.counts.totals.changed > before
            if not (again and changed and self.batches.counts.skipped[PROTECTED]):
                return None
            self.ladder.begin_again()

    def _pass(self) -> EndState | None:
        """Come upon every row that was due when the pass began."""
        cursor, self.cursor = self.cursor, None
        if heap := self.ladder.search(lambda: self._heap_to_begin_with(cursor)):
            return self._walk_heap(heap)
        if cursor and cursor["walk"] == KeysetWalk.name and cursor["at"]:
            if end := self._walk_keys(tuple(cursor["at"])):
                return end
            self.ladder.begin_again()  # for what became due before that position
        return self._walk_keys(None)

    def _heap_to_begin_with(self, cursor: Cursor | None) -> HeapWalk | None:
        """The walk along the heap that the last run left, or one where no index leads to what is due."""
        model = self.policy.get_model()
        if cursor and cursor["walk"] == HeapWalk.name and KeysetWalk.name != conf.WALK:
            heap = heap_of(model, self.batches.claims.using)
            if heap and heap.node == cursor["node"]:
                return HeapWalk(heap, cursor["at"][0])
        if leads_to_heap(self.policy):
            return choose(self.policy, self.batches.claims)
        return None

    def _walk_keys(self, position: Position | None) -> EndState | None:
        """Walk in keyset order; a full first batch says that the other walk is worth a thought."""
        claims = self.batches.claims
        walk = KeysetWalk(self.policy, claims, position)
        self.batches.walk = walk.name
        while True:
            if end := self.pace.over():
                return end
            size = self.pace.next_rows(self.batches.counts.totals.changed) or 1
            found = self.ladder.search(partial(walk.step, size))
            cursor = self._cursor(walk, walk.saved(found.end))
            if found.keys and (end := self.ladder.act(found.keys, cursor)):
                return end
            if found.last:
                return None
            if found.end == walk.position:
                raise SessionCleanupError(f"The walk did not get beyond {found.end!r}: a fault of this app.")
            undecided, walk.position = walk.position is None, found.end
            if undecided and (heap := self.ladder.search(lambda: choose(self.policy, claims))):
                return self._walk_heap(heap)

    def _walk_heap(self, walk: HeapWalk) -> EndState | None:
        """Walk along the heap; once more if rows may have been moved to where we had been."""
        using = self.batches.claims.using
        self.pace.heap = Size(walk.heap.first)
        self.batches.walk = walk.name
        for passes in (1, 2, 3):
            whole = walk.position == walk.heap.begin
            alone = self.ladder.search(lambda: Alone(using, self.batches.spent))
            if end := self._along(walk):
                return end
            if whole and self.ladder.search(partial(alone.until, self.batches.spent)):
                return None
            again = self.ladder.search(partial(heap_of, self.policy.get_model(), using))
            if again is None or (passes > 1 and again.node == walk.heap.node):
                return None
            walk = HeapWalk(again, again.begin)
            self.ladder.begin_again()
        return None

    def _along(self, walk: HeapWalk) -> EndState | None:
        """One pass along the heap."""
        while True:
            if end := self.pace.over():
                return end
            part = self.ladder.search(partial(walk.step, self.pace.heap.now))
            if part is None:
                return None
            cursor = self._cursor(walk, [part.last], node=walk.heap.node)
            outcome = self.ladder.act_on_slice(part, cursor)
            if outcome is Outcome.AGAIN:
                continue
            self.share = walk.share
            if outcome is Outcome.BY_KEYS and (end := self.ladder.act_by_keys(part, cursor)):
                return end
            walk.position = part.last

    def _cursor(self, walk: KeysetWalk | HeapWalk, at: Any, **more: Any) -> Cursor:
        return {"rule": self.rule, "walk": walk.name, "at": at, **more}
