"""Takes back what one job of a run did: puts deleted rows back, then old values and references.

Why it is safe. A batch is one transaction: it puts rows back, holds them and removes their records. So a
second restore finds nothing, and one that was killed can go on. It holds the lease of the job, so no run
of that job works on the same rows meanwhile. A row that anything is in the way of is left alone with its
record; no existing row is overwritten.

Parents come before children. A reference to a row that may come later is put back empty, and becomes a
record of its own, which is restored when all rows are there. Rows that refer to each other and cannot do
without are tried together at last.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db import DatabaseError, InterfaceError, connections
from django.db.models import F, Model, QuerySet

from session_cleanup.conf import conf
from session_cleanup.engine.account import Account
from session_cleanup.engine.connections import batch_transaction
from session_cleanup.engine.hanging import AskedFor, Rows, taken
from session_cleanup.engine.leases import Lease
from session_cleanup.engine.pacing import FIRST_ROWS, MOST_ROWS, SQLITE_BATCH_MS, SQLITE_PAUSE, Size
from session_cleanup.engine.putting_back import Target
from session_cleanup.engine.refusal import why_refused
from session_cleanup.engine.restore_batch import Left, Work, by_target, put_back
from session_cleanup.engine.restore_report import LeftAlone, RestoredJob
from session_cleanup.engine.sql import together
from session_cleanup.engine.undo import write_losslessly
from session_cleanup.models import Hold, JobRun, UndoRecord, UndoSet
from session_cleanup.models.history import has_text_key
from session_cleanup.policies.claims import concrete

TOGETHER = 10_000  # rows that are tried in one transaction at last
WAIT_MS = 2000  # for a lock that somebody else has on what a row needs


class Stopped(Exception):
    """Somebody asked to stop, between two batches."""


class Restoring:
    """Restores the records of one job; `report` says what became of them."""

    def __init__(
        self,
        sets: Sequence[UndoSet],
        report: RestoredJob,
        *,
        lease: Lease,
        record: JobRun,
        asked: AskedFor | None,
        hold: dict[str, Any] | None,
        stopped: Callable[[], bool],
    ) -> None:
        self.sets = sets
        self.using = report.database
        self.report = report
        self.lease = lease
        self.record = record
        self.account = Account(record)
        self.hold = hold
        self.stopped = stopped
        sqlite = connections[self.using].vendor == "sqlite"
        self.target = max(conf.BATCH_MS, SQLITE_BATCH_MS if sqlite else 0) / 1000
        self.pause = max(conf.PAUSE_MS / 1000, SQLITE_PAUSE if sqlite else 0)  # lets others write
        self.size = Size(FIRST_ROWS, MOST_ROWS)
        self.asked = asked
        self.taken = Rows()
        self.coming: set[type[Model]] = set()  # the models of which rows may come yet
        self.batches = 0
        self.started = time.monotonic()

    def run(self) -> None:
        targets = [Target(saved, self.using) for saved in self.sets]
        deleted = parents_first([target for target in targets if target.deleted])
        self.taken = taken(deleted)
        self._rows(deleted)
        self.coming = set()
        for saved in self._sets_of_changes():
            for rows in self._chunks(Target(saved, self.using), newest_first=True):
                self._try(rows)
        for target in deleted:
            if target.postgresql and not target.problem:
                target.move_sequences()
        emptied = [f"{each.saved.model}.{name}" for each in targets for name in each.saved.left_out]
        self.report.emptied = list(dict.fromkeys(emptied))

    def _rows(self, targets: list[Target]) -> None:
        """Put deleted rows back, in passes, for one may make room for what the next one can do."""
        missing = "parent_gone"
        while True:
            before = self._begin_again()
            for number, target in enumerate(targets):
                self.coming = {each.model for each in targets[number:] if not each.problem}
                for rows in self._chunks(target):
                    self._try(rows)
            if self.report.restored.total() == before or not self.report.left_alone[missing]:
                break
        if self.report.left_alone[missing] and self.report.left_alone.total() <= TOGETHER:
            self._begin_again()
            self.coming = set()
            self._try([one for target in targets for rows in self._chunks(target) for one in rows])

    def _begin_again(self) -> int:
        self.report.left_alone.clear()
        self.report.rows.clear()
        return self.report.restored.total()

    def _sets_of_changes(self) -> QuerySet[UndoSet]:
        """Those that were there, and those that this restore has made."""
        of_job = UndoSet.objects.using(self.using).filter(run_id=self.sets[0].run_id, job=self.report.name)
        return of_job.exclude(kind=UndoSet.Kind.DELETED).order_by("-pk")

    def _chunks(self, target: Target, *, newest_first: bool = False) -> Iterator[Work]:
        """The rows of a set that are asked for, as many at a time as a batch shall take."""
        records = target.records.order_by("-pk" if newest_first else "pk")
        at: dict[str, int] = {}
        while found := list(records.filter(**at)[: self.size.whole]):
            at = {"pk__lt" if newest_first else "pk__gt": found[-1].pk}
            rows, closed = target.read(found)
            if self.asked:
                rows = self.asked.among(target, rows)
            if target.problem:
                self._leave([(target, row, "no_place") for row in rows], target.problem)
                continue
            self._leave([(target, row, "closed") for row in closed])
            astray = {row.record for row in rows if self.taken.referred_by(target, row)}
            self._leave([(target, row, "parent_gone") for row in rows if row.record in astray])
            if work := [(target, row) for row in rows if row.record not in astray]:
                yield work

    def _leave(self, left: Left, detail: str = "") -> None:
        for target, row, reason in left:
            if reason == "key_exists":
                self.taken.add(target, [row])
            self.report.leave(LeftAlone(target.saved.model, row.key, reason, detail))

    # Batches

    def _try(self, work: Work) -> None:
        """Put rows back in one transaction; where it is refused, in ever smaller ones."""
        if not work:
            return
        if self.stopped():
            raise Stopped
        began = time.monotonic()
        try:
            left = self._batch(work)
        except (DatabaseError, InterfaceError) as error:
            reason, detail = why_refused(error, self.using)
            if len(work) == 1:
                self._leave([(*work[0], reason)], detail)
                return
            middle = len(work) // 2
            self._try(work[:middle])
            self._try(work[middle:])
        else:
            self.size.took(len(work), time.monotonic() - began, self.target)
            self._leave(left)
            time.sleep(self.pause)

    def _batch(self, work: Work) -> Left:
        here = self.record._state.db == self.using
        with batch_transaction(self.using, lock_ms=WAIT_MS, statement_ms=conf.STATEMENT_TIMEOUT_MS):
            self.lease.renew()
            write_losslessly(self.using)
            done, left = put_back(work, self.using, self.coming)
            restored = self.report.restored + self._settle(done)
            if here:
                self._write(restored)
        self.report.restored = restored
        if not here:
            self._write(restored)
        return left

    def _settle(self, done: Work) -> Counter[str]:
        """Remove the records of what was put back, and hold the rows."""
        counts: Counter[str] = Counter()
        for target, rows in by_target(done):
            saved = target.saved
            UndoRecord.objects.using(self.using).filter(pk__in=[row.record for row in rows])._raw_delete(
                self.using
            )
            UndoSet.objects.using(self.using).filter(pk=saved.pk).update(restored=F("restored") + len(rows))
            counts[target.label] += len(rows)
            if self.hold and saved.kind != UndoSet.Kind.UNLINKED and has_text_key(target.model):
                holds = [Hold(model=saved.model, object_pk=row.key, **self.hold) for row in rows]
                Hold.objects.using(self.using).bulk_create(holds)
        return counts

    def _write(self, restored: Counter[str]) -> None:
        self.batches += 1
        entry = self.account.entry(
            changed=restored[self.report.model],
            related={label: count for label, count in restored.items() if label != self.report.model},
            batches=self.batches,
            seconds=time.monotonic() - self.started,
        )
        together([entry], self.account.rows.db)


def parents_first(targets: list[Target]) -> list[Target]:
    """Each table after those that it refers to, as far as there is no cycle."""
    order: list[Target] = []
    met: set[int] = set()

    def visit(target: Target) -> None:
        if target.saved.pk in met:
            return
        met.add(target.saved.pk)
        if not target.problem:
            parents = {concrete(field.related_model) for field in target.references}
            for each in targets:
                if not each.problem and each.model in parents:
                    visit(each)
        order.append(target)

    for target in targets:
        visit(target)
    return order
