"""One batch: one transaction that asserts the lease, judges, acts, records and commits.

A row is acted on only under its lock, as engine.acting says. The counts commit with the rows they count; a
process that dies loses at most the batch under way. The history may live in another database: then its
counts follow the commit.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import DatabaseError, IntegrityError, InterfaceError, connections
from django.db.models import Model

from session_cleanup.conf import conf
from session_cleanup.engine.acting import Acting
from session_cleanup.engine.connections import Trouble, batch_transaction, trouble
from session_cleanup.engine.counts import Counts, Cursor
from session_cleanup.engine.footprint import PROTECTED, guards
from session_cleanup.engine.heaps import Slice
from session_cleanup.engine.leases import Lease
from session_cleanup.engine.refusal import LOCKED, Refused
from session_cleanup.engine.sql import Sql, composed, selecting, together
from session_cleanup.engine.walks import Keys, KeysetWalk
from session_cleanup.models import Hold, JobRun
from session_cleanup.policies.actions import Delete, Update
from session_cleanup.policies.claims import Claims
from session_cleanup.policies.policy import Policy

logger = logging.getLogger(__name__)


@dataclass
class Batches:
    """Runs the batches of one job and keeps their counts."""

    policy: Policy
    claims: Claims
    lease: Lease
    record: JobRun
    remembered: set[type[Model]]  # the models of which later jobs must know the rows that changed
    seconds: float = 0  # that the last one took, to the end of its commit
    transactions: int = 0  # begun so far
    failures: int = 0  # how many of them failed in a way that does not tell whether they had a number
    walk: str = KeysetWalk.name

    def __post_init__(self) -> None:
        self.counts = Counts(self.record, self.claims.using)
        self.acting = Acting(self.policy, self.claims, self.counts, self.remembered)

    def take(self, keys: list[Any]) -> list[Any]:
        """Do what can be done before anything is locked; returns those of `keys` that one batch can take."""
        return self.acting.rewriting.take(keys) if self.acting.rewrites else keys

    def run(
        self, keys: list[Any], cursor: Cursor | None, *, wait_ms: int | None = None
    ) -> tuple[list[Any], list[Any]]:
        """Act on those of `keys` that are due; returns these, and those that somebody else had locked.

        With `wait_ms` it waits for locks that long, else it passes over them. Raises Refused when the
        models or the database do not let all of them be deleted.
        """
        return self.acting.writer.done(lambda: self._run(keys, cursor, wait_ms))

    def _run(
        self, keys: list[Any], cursor: Cursor | None, wait_ms: int | None
    ) -> tuple[list[Any], list[Any]]:
        with self._transaction(cursor, lock_ms=wait_ms, writes=True):
            locked = self.acting.lock(Keys(keys), due=False, skip_locked=wait_ms is None)
            due, skipped = self.acting.judge(locked)
            left_out = self.acting.act(due, skipped)
        if wait_ms is not None:
            self.counts.skip(LOCKED, len(left_out))
        done = set(locked) - set(left_out)
        return [key for key in due if key in done], [key for key in keys if key not in done]

    def run_whole(
        self, part: Slice | Keys, cursor: Cursor | None, *, statement_ms: int | None = None
    ) -> tuple[list[Any], list[Any]]:
        """Act on all that is due in a part of the table; returns keys as `run` does.

        One statement does it all where it can: then each row is judged as it is acted on, and no keys are
        known. Where a row can be judged as it is locked, that is done with it. A lock that cannot be had
        on a row of the part fails it as a whole.
        """
        return self.acting.writer.done(lambda: self._run_whole(part, cursor, statement_ms))

    def _run_whole(
        self, part: Slice | Keys, cursor: Cursor | None, statement_ms: int | None
    ) -> tuple[list[Any], list[Any]]:
        due: list[Any] = []
        left_out: list[Any] = []
        with self._transaction(cursor, statement_ms=statement_ms, writes=True) as held:
            refused = held or self._protects
            if self.acting.at_once and not refused:
                due = self.acting.act_at_once(part)
            else:
                again = refused or not self.acting.reads_one_table
                # Keys were found a moment ago; they need not be asked once before the lock and once under it.
                found = again and isinstance(part, Keys)
                due, skipped = self.acting.lock(part, due=not found), Counter[str]()
                if again:
                    due, skipped = self.acting.judge(due)
                left_out = self.acting.act(due, skipped)
        done = set(left_out)
        return [key for key in due if key not in done], left_out

    @contextmanager
    def _transaction(
        self,
        cursor: Cursor | None,
        *,
        lock_ms: int | None = None,
        statement_ms: int | None = None,
        writes: bool = False,
    ) -> Iterator[bool]:
        """One batch: what the block does is kept together with what it counts, or not at all.

        Gives whether there is a hold that could matter.
        """
        self.counts.settle()
        if writes:
            self.transactions += self.acting.writer.prepare()
        before = self.counts.totals
        self.transactions += 1
        self.acting.nesting = False
        began = 0.0
        try:
            with batch_transaction(
                self.claims.using,
                lock_ms=conf.LOCK_TIMEOUT_MS if lock_ms is None else lock_ms,
                statement_ms=statement_ms or conf.STATEMENT_TIMEOUT_MS,
                flushed=not self.counts.here,  # else the end of the job, written there too, is flushed
                opening=self._opening,
                closing=lambda: self._closing(cursor, began, statement_ms),
            ) as answer:
                held = self.lease.assert_ours(answer)
                if writes:
                    self.acting.writer.begin()
                began = time.monotonic()  # from here on others may wait for us
                yield held
                if writes:
                    self.acting.writer.finish()
        except BaseException as error:
            self.counts.totals = before
            self.failures += not (began and self._had_a_number(error))
            if not (isinstance(error, IntegrityError) and isinstance(self.policy.action, Delete)):
                raise
            # A reference that Django knows nothing of, or one made just now.
            logger.warning("the database refused a delete job=%s error=%s", self.policy.name, error)
            raise Refused(PROTECTED) from error
        self.seconds = time.monotonic() - began
        if not self.counts.here:
            together([self.counts.entry(cursor, self.walk)], self.counts.account.rows.db)

    def sweep(self, keys: list[Any]) -> None:
        """Change related rows that came to be while their row was being changed.

        The insert of a member, checked against its session only when it commits, can fall between our
        look at the members and our own commit. A row that was changed again since is left alone.
        """
        action = self.policy.action
        assert isinstance(action, Update)
        with self._transaction(None, writes=True):
            done = action.done_to(self.acting.rows(keys))
            more = action.apply_related(done, self.claims, self.acting.writer.update)
            self.counts.add_related(more)

    def stay_alive(self) -> None:
        """Renew the lease and show a sign of life, for a time in which there is no batch."""
        try:
            with self._transaction(None):
                pass
        except (DatabaseError, InterfaceError) as error:  # the next batch renews it, or knows what to do
            logger.warning("lease not renewed job=%s error=%s", self.policy.name, str(error).strip())

    def _had_a_number(self, error: BaseException) -> bool:
        """Whether a transaction that failed so, once its lease was written, had one number and no more."""
        kind = trouble(error, self.claims.using) if isinstance(error, DatabaseError) else None
        return kind in (Trouble.LOCKED, Trouble.TOO_SLOW) and not self.acting.nesting

    @property
    def spent(self) -> tuple[int, int]:
        """How many transactions there were, and for how many of them nobody can tell if they wrote."""
        return self.transactions + self.acting.nests, self.failures

    @cached_property
    def _protects(self) -> bool:
        return guards(self.policy)[0]

    @cached_property
    def _opening(self) -> list[Sql]:
        """What each batch begins with: the lease, and the question for a hold that could matter."""
        using = self.claims.using
        holds = Hold.objects.using(using).active(self.claims.now)
        question = selecting(holds.filter(model__in=guards(self.policy)[1]).values("pk"))
        statements = [*self.acting.writer.opening, *self.lease.renewal(question)]
        return [composed(statements, using)] if connections[using].vendor == "postgresql" else statements

    def _closing(self, cursor: Cursor | None, began: float, statement_ms: int | None) -> list[Sql]:
        """What each batch ends with. What is checked then gets the time that its statement has left over."""
        entry = [self.counts.entry(cursor, self.walk)] if self.counts.here else []
        if statement_ms is None or connections[self.claims.using].vendor != "postgresql":
            return entry
        left = max(statement_ms - int((time.monotonic() - began) * 1000), statement_ms // 3)
        return [(f"SET LOCAL statement_timeout = {left}", ()), *entry]
