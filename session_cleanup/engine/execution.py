"""Does the jobs of a run one after the other, and writes down how each ended.

A job that fails does not stop the others; it is named in the report, in the history and in the exit
status.
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from django.db import DatabaseError, InterfaceError, connections
from django.db.models.functions import Now

from session_cleanup.conf import conf
from session_cleanup.engine.batches import Batches
from session_cleanup.engine.connections import database_clock, forget_if_lost, once_more
from session_cleanup.engine.drain import Drain
from session_cleanup.engine.footprint import claimed
from session_cleanup.engine.leases import Lease
from session_cleanup.engine.pacing import EndState, Pace
from session_cleanup.engine.plan import Plan
from session_cleanup.engine.pressure import Pressure
from session_cleanup.engine.report import JobReport, RunReport, RunRequest, sentence
from session_cleanup.engine.routines import Steps, do
from session_cleanup.exceptions import LeaseBusy, LeaseLost
from session_cleanup.models import Claim, CleanupRun, JobRun
from session_cleanup.models.history import as_stored
from session_cleanup.models.undo import FOR_EVER
from session_cleanup.policies.job import Job, Routine
from session_cleanup.policies.policy import Policy

logger = logging.getLogger(__name__)
# (job, rows changed so far, share of the way if it is known), after each batch
Observer = Callable[[str, int, float | None], None]


def fail(report: JobReport, error: Exception) -> None:
    logger.exception("job failed job=%s error=%s", report.name, type(error).__name__)
    report.end_state = EndState.FAILED
    report.error = f"{type(error).__name__}: {sentence(error)}"


class Execution:
    """One real run, written down in the history."""

    def __init__(
        self, plan: Plan, request: RunRequest, observer: Observer, stopped: Callable[[], bool]
    ) -> None:
        self.plan = plan
        self.request = request
        self.observer = observer
        self.stopped = stopped
        seconds = request.max_seconds
        self.deadline = None if seconds is None else time.monotonic() + seconds

    def run(self) -> None:
        plan = self.plan
        record = CleanupRun.objects.using(plan.history).create(
            trigger=self.request.trigger,
            actor=self.request.actor,
            host=socket.gethostname(),
            pid=os.getpid(),
            options=self.request.options(),
            started_at=as_stored(plan.now),
        )
        plan.run_id = record.pk
        for job, report in zip(plan.jobs, plan.reports, strict=True):
            self._job(job, report, record.pk)
        self._finish(record)
        self._forget_claims()

    def _job(self, job: Job, report: JobReport, run_id: int) -> None:
        """Run one job; whatever happens to it is in its report and in its record."""
        started = time.monotonic()
        record = None
        for alias in {self.plan.history, report.database}:
            forget_if_lost(alias)  # by the job before
        try:
            record = self._record(job, report, run_id)
            lease = Lease.take(job.name, report.database, run_id, since=self.request.unless_since)
            try:
                if isinstance(job, Policy):
                    self._drain(job, report, lease, record)
                elif isinstance(job, Routine):
                    steps = Steps(self.plan.now, lease, record, report)
                    do(job, steps, self._pace(job, report, steps.stay_alive))
            finally:
                lease.release()
        except LeaseBusy as busy:
            report.end_state, report.error = EndState.BUSY, str(busy)
        except LeaseLost as lost:
            report.end_state, report.error = EndState.LEASE_LOST, str(lost)
        except Exception as error:
            fail(report, error)
        report.seconds = time.monotonic() - started
        if record is not None:
            self._end(record, report)

    def _record(self, job: Job, report: JobReport, run_id: int) -> JobRun:
        using = self.plan.history
        record = JobRun(
            run_id=run_id,
            job=job.name,
            model=report.model,
            database=report.database,
            action=report.action or "",
            cutoff=report.cutoff and as_stored(report.cutoff),
            walk=report.walk or "",
            heartbeat_at=Now(),
        )
        there = JobRun.objects.using(using).filter(run_id=run_id, job=job.name)

        def insert() -> JobRun:
            record.save(using=using, force_insert=True)
            return record

        return once_more(insert, using, lambda: there.first() or insert())

    def _drain(self, policy: Policy, report: JobReport, lease: Lease, record: JobRun) -> None:
        batches = Batches(policy, self.plan.claims[policy.name], lease, record, self.plan.remembered(policy))
        pace = self._pace(policy, report, batches.stay_alive)
        try:
            progress = partial(self.observer, policy.name)
            cursor = once_more(partial(self._cursor, record), self.plan.history)
            report.end_state = Drain(batches, pace, progress, cursor).run()
        finally:
            with suppress(DatabaseError, InterfaceError):  # what cannot be known now, the history knows
                batches.counts.settle()
            totals = batches.counts.totals
            report.changed = totals.changed
            report.related = dict(totals.related)
            report.skipped = dict(batches.counts.skipped)
            report.figures = dict(totals.figures)
            report.batches = totals.batches
            report.walk = batches.walk
            report.waited = dict(pace.waited)
            if policy.is_kept and report.changed:
                report.undo_until = self.plan.now + (policy.keep or FOR_EVER)
            for model in batches.remembered:
                batches.claims.change(model, claimed(model, record.run_id, report.database))

    def _pace(self, job: Job, report: JobReport, stay_alive: Callable[[], None]) -> Pace:
        return Pace(
            stopped=self.stopped,
            deadline=self.deadline,
            max_rows=self.request.max_rows,
            max_size=self.request.batch_size or conf.BATCH_SIZE,
            sqlite=connections[report.database].vendor == "sqlite",
            pressure=Pressure(job.name, report.database, job.get_model()._meta.db_table),
            stay_alive=stay_alive,
        )

    def _cursor(self, record: JobRun) -> Any:
        """Where the last run of the job stopped; None if it drained."""
        earlier = JobRun.objects.using(self.plan.history).filter(
            job=record.job, database=record.database, pk__lt=record.pk
        )
        last = earlier.exclude(end_state=EndState.BUSY).order_by("-pk").values_list("end_state", "cursor")
        end_state, cursor = last.first() or ("", None)
        return None if end_state in (EndState.DRAINED, EndState.DRAINED_WITH_SKIPS) else cursor

    def _end(self, record: JobRun, report: JobReport) -> None:
        """Write how the job ended. Its counts stand there already: each batch has written them."""
        try:
            once_more(
                lambda: (
                    JobRun.objects.using(self.plan.history)
                    .filter(pk=record.pk)
                    .update(
                        end_state=report.end_state,
                        skipped=report.skipped,
                        seconds=report.seconds,
                        error=report.error or "",
                    )
                ),
                self.plan.history,
            )
        except (DatabaseError, InterfaceError) as error:  # the report still says how the job ended
            fail(report, error)

    def _forget_claims(self) -> None:
        """Remove what this run wrote down, and what runs that died left behind."""
        if not any(self.plan.remembered(policy) for policy in self.plan.policies):
            return
        try:
            self._delete_claims()
        except (DatabaseError, InterfaceError):  # the run is done; the next one removes them
            logger.exception("claims were left behind run=%s", self.plan.run_id)

    def _delete_claims(self) -> None:
        for using in {report.database for report in self.plan.reports}:
            claims = Claim.objects.using(using)
            runs = set(claims.order_by().values_list("run_id", flat=True).distinct())
            rows = CleanupRun.objects.using(self.plan.history)
            alive = {run.pk for run in rows.filter(pk__in=runs) if run.state == CleanupRun.Status.RUNNING}
            claims.filter(run_id__in=runs - alive | {self.plan.run_id})._raw_delete(using)

    def _finish(self, record: CleanupRun) -> None:
        plan = self.plan
        finished = RunReport(
            run=record.pk, dry_run=False, started_at=plan.now, finished_at=plan.now, jobs=plan.reports
        )
        record.status, record.exit_status = finished.status, finished.exit_status
        try:
            plan.finished_at = once_more(partial(database_clock, plan.history), plan.history)
            record.finished_at = as_stored(plan.finished_at)
            once_more(
                lambda: record.save(update_fields=["status", "exit_status", "finished_at"]), plan.history
            )
        except (DatabaseError, InterfaceError):  # it will be shown as died; the report says how it ended
            logger.exception("the end of the run could not be written run=%s", record.pk)
        counters = " ".join(f"{report.counter}={report.changed}" for report in plan.reports)
        logger.info("cleanup finished run=%s status=%s %s", record.pk, finished.status, counters)
