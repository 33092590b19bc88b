"""One batch: one transaction that asserts the lease, judges, acts, records and commits.

Why it is safe to let this delete: a row is acted on only while we hold its lock, and judged under it, so
what another process refreshed meanwhile is kept. Where only the columns of a row decide, PostgreSQL
judges its newest version in the statement that locks it or acts on it. Where other rows decide too, or
may refuse, it is locked first, and judged by a statement of its own (a fresh snapshot); the keys are
materialised then, so the rows acted on are the rows judged. In SQLite nobody else writes meanwhile.

The counts commit with the rows they count; a process that dies loses at most the batch under way. The
history may live in another database: then its counts follow the commit.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from django.db import DatabaseError, IntegrityError, InterfaceError, connections
from django.db.models import F, Model, QuerySet

from session_cleanup.conf import conf
from session_cleanup.engine.account import Account
from session_cleanup.engine.at_once import Statement, can_update, parts_of
from session_cleanup.engine.connections import batch_transaction
from session_cleanup.engine.deletion import LOCKED, Deleted, Deletion, Refused
from session_cleanup.engine.footprint import (
    PROTECTED,
    claims_of_run,
    footprint,
    guards,
    judged,
    reads_one_table,
)
from session_cleanup.engine.leases import Lease
from session_cleanup.engine.rewriting import Rewriting
from session_cleanup.engine.sql import Sql, composed, selecting, together
from session_cleanup.engine.walks import Keys, KeysetWalk, Slice
from session_cleanup.models import Claim, Hold, JobRun
from session_cleanup.policies.actions import Delete, Effect, Update
from session_cleanup.policies.claims import AmongKeys, Claims, concrete
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.rewrites import Rewrite

logger = logging.getLogger(__name__)
Cursor = Mapping[str, Any]  # where a job stands, as the history keeps it


@dataclass(frozen=True)
class Totals:
    """What the committed batches of a job run add up to."""

    changed: int = 0
    related: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    figures: Counter[str] = field(default_factory=Counter)


@dataclass
class Batches:
    """Runs the batches of one job and keeps their totals."""

    policy: Policy
    claims: Claims
    lease: Lease
    record: JobRun
    remembered: set[type[Model]]  # the models of which later jobs must know the rows that changed
    totals: Totals = field(default_factory=Totals)
    left_alone: Counter[str] = field(default_factory=Counter)
    unsure: bool = False  # whether the last batch committed: the connection was lost
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0  # that the last one took, to the end of its commit
    transactions: int = 0  # begun so far, and those within them
    failures: int = 0  # how many of them failed
    undone: bool = False  # whether a crash of the server took back what had committed
    walk: str = KeysetWalk.name

    def take(self, keys: list[Any]) -> list[Any]:
        """Do what can be done before anything is locked; returns those of `keys` that one batch can take."""
        return self.rewriting.take(keys) if self.rewrites else keys

    def run(
        self, keys: list[Any], cursor: Cursor | None, *, wait_ms: int | None = None
    ) -> tuple[list[Any], list[Any]]:
        """Act on those of `keys` that are due; returns these, and those that somebody else had locked.

        With `wait_ms` it waits for locks that long, else it passes over them. Raises Refused when the
        models or the database do not let all of them be deleted.
        """
        with self._transaction(cursor, lock_ms=wait_ms):
            locked = self._lock(self._rows(keys).order_by("pk"), skip_locked=wait_ms is None, keys=keys)
            due, skipped = self._judge(locked)
            left_out = self._act(due, skipped)
        if wait_ms is not None:
            self.skip(LOCKED, len(left_out))
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
        due: list[Any] = []
        left_out: list[Any] = []
        with self._transaction(cursor, statement_ms=statement_ms) as held:
            refused = held or self._protects
            if self._at_once and not refused:
                due, effect = self._act_at_once(part)
                self._count(effect)
            else:
                due, skipped = self._lock(part.of(self._matching), skip_locked=False), Counter[str]()
                if refused or not self._reads_one_table:
                    due, skipped = self._judge(due)
                left_out = self._act(due, skipped)
        done = set(left_out)
        return [key for key in due if key not in done], left_out

    @contextmanager
    def _transaction(
        self, cursor: Cursor | None, *, lock_ms: int | None = None, statement_ms: int | None = None
    ) -> Iterator[bool]:
        """One batch: what the block does is kept together with what it counts, or not at all.

        Gives whether there is a hold that could matter.
        """
        self.settle()
        before = self.totals
        self.transactions += 1
        try:
            with batch_transaction(
                self.claims.using,
                lock_ms=conf.LOCK_TIMEOUT_MS if lock_ms is None else lock_ms,
                statement_ms=statement_ms or conf.STATEMENT_TIMEOUT_MS,
                flushed=not self.record_here,  # else the end of the job, written there too, is flushed
                opening=self._opening,
                closing=lambda: self._closing(cursor, began, statement_ms),
            ) as answer:
                held = self.lease.assert_ours(answer)
                began = time.monotonic()  # from here on others may wait for us
                yield held
        except BaseException as error:
            self.totals = before
            self.failures += 1
            if not (isinstance(error, IntegrityError) and isinstance(self.policy.action, Delete)):
                raise
            # A reference that Django knows nothing of, or one made just now.
            logger.warning("the database refused a delete job=%s error=%s", self.policy.name, error)
            raise Refused(PROTECTED) from error
        self.seconds = time.monotonic() - began
        if not self.record_here:
            together([self._entry(cursor)], self.account.rows.db)

    def sweep(self, keys: list[Any]) -> None:
        """Change related rows that came to be while their row was being changed.

        The insert of a member, checked against its session only when it commits, can fall between our
        look at the members and our own commit. A row that was changed again since is left alone.
        """
        action = self.policy.action
        assert isinstance(action, Update)
        with self._transaction(None):
            more = action.apply_related(action.done_to(self._rows(keys)), self.claims)
            self.totals = replace(self.totals, related=self.totals.related + Counter(more))

    def stay_alive(self) -> None:
        """Renew the lease and show a sign of life, for a time in which there is no batch."""
        try:
            with self._transaction(None):
                pass
        except (DatabaseError, InterfaceError) as error:  # the next batch renews it, or knows what to do
            logger.warning("lease not renewed job=%s error=%s", self.policy.name, str(error).strip())

    @cached_property
    def deletion(self) -> Deletion:
        return Deletion(self.policy.get_model(), self.claims)

    @property
    def rewrites(self) -> bool:
        return isinstance(self.policy.action, Rewrite)

    @cached_property
    def rewriting(self) -> Rewriting:
        return Rewriting(self.policy, self.claims)

    @cached_property
    def account(self) -> Account:
        return Account(self.record)

    @property
    def record_here(self) -> bool:
        return self.record._state.db == self.claims.using

    def settle(self) -> None:
        """Take the totals from the database: after a lost connection only it knows what committed."""
        if self.unsure and self.record_here:
            self.record.refresh_from_db(using=self.claims.using)
            saved = self.record
            skipped = Counter(saved.skipped) - self.left_alone
            self.undone = self.undone or saved.batches < self.totals.batches
            self.totals = Totals(
                saved.changed, Counter(saved.related), skipped, saved.batches, Counter(saved.figures)
            )
        self.unsure = False

    def skip(self, reason: str, count: int = 1) -> None:
        """Count rows that no batch could take."""
        self.left_alone[reason] += count

    @property
    def spent(self) -> tuple[int, int]:
        """How many transactions there were, and how many failed."""
        return self.transactions, self.failures

    @property
    def skipped(self) -> Counter[str]:
        return self.totals.skipped + self.left_alone

    def forget_skips(self) -> None:
        """Another pass looks at the same rows again."""
        self.totals = replace(self.totals, skipped=Counter())
        self.left_alone.clear()

    def _rows(self, keys: list[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = QuerySet(concrete(self.policy.get_model()), using=self.claims.using)
        return rows.filter(AmongKeys(F("pk"), keys))

    def _lock(self, rows: QuerySet[Any], *, skip_locked: bool, keys: list[Any] | None = None) -> list[Any]:
        """Lock the rows and return the keys of those that we got.

        Keys are locked in their order: no deadlock among us.
        """
        found = rows.values_list("pk", flat=True)  # no instances: no code of theirs
        if not connections[self.claims.using].features.has_select_for_update_skip_locked:
            return list(found) if keys is None else keys  # SQLite: all is ours until the commit
        no_key = self.policy.action.lets_children_in
        return list(found.select_for_update(skip_locked=skip_locked, no_key=no_key))

    def _judge(self, locked: list[Any]) -> tuple[list[Any], Counter[str]]:
        rows = judged(self.policy, self.claims).filter(AmongKeys(F("pk"), locked))
        verdicts = dict(rows.values_list("pk", "verdict")) if locked else {}
        due = [key for key in locked if verdicts.get(key) == ""]
        return due, Counter(verdict for verdict in verdicts.values() if verdict)

    def _act(self, due: list[Any], skipped: Counter[str]) -> list[Any]:
        """Act on rows that are locked and due; returns those that were left out."""
        deleted = Deleted(Effect(0))
        if due:
            rows = self._rows([key for key in due if not self.rewrites or key in self.rewriting.forms])
            claims: list[Claim] = []
            if self.remembered:
                found = footprint(self.policy, rows, self.claims)
                claims = claims_of_run(found, self.remembered, self.claims, self.record.run_id)
            if isinstance(self.policy.action, Delete):
                deleted = self.deletion.delete(due)
                self.transactions += self.deletion.nests
            elif self.rewrites:
                deleted = self.rewriting.write(due)
            else:
                deleted = Deleted(self.policy.action.apply(rows, self.claims))
            Claim.objects.using(self.claims.using).bulk_create(claims, ignore_conflicts=True)
        self._count(deleted.effect, skipped + deleted.skipped)
        return deleted.left_out

    def _count(self, effect: Effect, skipped: Counter[str] | None = None) -> None:
        self.totals = Totals(
            self.totals.changed + effect.changed,
            self.totals.related + Counter(effect.related),
            self.totals.skipped + (skipped or Counter()),
            self.totals.batches + 1,
            self.totals.figures + Counter(effect.figures),
        )

    @cached_property
    def _at_once(self) -> bool:
        """Whether one statement can find, judge and act, and nobody has to know on which rows."""
        action = self.policy.action
        if self.remembered or self.rewrites or not self._reads_one_table:
            return False
        if isinstance(action, Delete):
            return self.deletion.alone or self.deletion.at_once
        postgresql = connections[self.claims.using].vendor == "postgresql"
        assert isinstance(action, Update)
        return not action.related or (postgresql and can_update(action, self.policy.get_model()))

    def _act_at_once(self, part: Slice | Keys) -> tuple[list[Any], Effect]:
        """Gives the keys of the rows where other tables are changed with them."""
        if isinstance(part, Keys):
            return self._statement(part.of(self._matching)).act()
        return self._statement_for_slices.act(part.places(self.claims.using))

    @cached_property
    def _statement_for_slices(self) -> Statement:
        return self._statement(Slice.of_any(self._matching))

    def _statement(self, rows: QuerySet[Any]) -> Statement:
        action = self.policy.action
        if isinstance(action, Delete):
            return Statement(self.deletion.parts(rows))
        assert isinstance(action, Update)
        return Statement(parts_of(action, rows, self.claims))

    @cached_property
    def _matching(self) -> QuerySet[Any]:
        policy = self.policy
        if isinstance(policy.action, Rewrite):  # its question was answered when the document was read
            policy = replace(policy, action=Update(policy.action.values))
        return policy.matching(self.claims)

    @cached_property
    def _reads_one_table(self) -> bool:
        return reads_one_table(self.policy, self.claims)

    @cached_property
    def _protects(self) -> bool:
        return guards(self.policy)[0]

    @cached_property
    def _opening(self) -> list[Sql]:
        """What each batch begins with: the lease, and the question for a hold that could matter."""
        using = self.claims.using
        holds = Hold.objects.using(using).active(self.claims.now)
        question = selecting(holds.filter(model__in=guards(self.policy)[1]).values("pk"))
        statements = self.lease.renewal(question)
        return [composed(statements, using)] if connections[using].vendor == "postgresql" else statements

    def _closing(self, cursor: Cursor | None, began: float, statement_ms: int | None) -> list[Sql]:
        """What each batch ends with. What is checked then gets the time that its statement has left over."""
        entry = [self._entry(cursor)] if self.record_here else []
        if statement_ms is None or connections[self.claims.using].vendor != "postgresql":
            return entry
        left = max(statement_ms - int((time.monotonic() - began) * 1000), statement_ms // 3)
        return [(f"SET LOCAL statement_timeout = {left}", ()), *entry]

    def _entry(self, cursor: Cursor | None) -> Sql:
        totals = self.totals
        return self.account.entry(
            changed=totals.changed,
            related=dict(totals.related),
            skipped=dict(totals.skipped + self.left_alone),
            batches=totals.batches,
            figures=dict(totals.figures),
            seconds=time.monotonic() - self.started,
            walk=self.walk,
            **({"cursor": cursor} if cursor else {}),
        )
