"""How a run does a job that is no policy.

Why it is safe: whatever such a job writes, it writes inside `Steps.batch`, one transaction that begins
with the lease and ends with the counts. A process whose lease was taken over cannot commit there, and one
that dies loses the batch under way and nothing else.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol

from django.db import DatabaseError, InterfaceError, connections
from django.utils.module_loading import import_string

from session_cleanup.conf import conf
from session_cleanup.engine.account import Account
from session_cleanup.engine.connections import batch_transaction
from session_cleanup.engine.leases import Lease
from session_cleanup.engine.pacing import EndState, Pace
from session_cleanup.engine.report import JobReport
from session_cleanup.engine.sql import Sql, composed, together
from session_cleanup.models import JobRun
from session_cleanup.policies.job import Routine

logger = logging.getLogger(__name__)


class Work(Protocol):
    """What a routine does. It is made with the options that were given for it.

    Preview and run fill in the report; neither changes it for what did not come about.
    """

    def refuse(self, using: str) -> None:
        """Raise ConfigurationError where it was given something that it cannot work with."""

    def preview(self, using: str, now: datetime, report: JobReport) -> None:
        """Say what a run at `now` would do, and write nothing at all."""

    def run(self, steps: "Steps", pace: Pace) -> EndState | None:
        """Do it, a batch after the other; returns what `pace.over()` said if that was before the end."""


@dataclass
class Steps:
    """The batches of one run of a routine, and what it needs to know."""

    now: datetime  # the run clock
    lease: Lease
    record: JobRun
    report: JobReport  # `changed`, `related` and `figures` are counted up inside a batch
    started: float = field(default_factory=time.monotonic)

    @property
    def using(self) -> str:
        return self.lease.using

    @contextmanager
    def batch(self) -> Iterator[None]:
        """One transaction: what the block changes and what it counts are kept together, or not at all."""
        report = self.report
        before = report.changed, dict(report.related), dict(report.figures)
        try:
            with self._transaction(lambda: [self._entry()] if self._record_here else []):
                yield
                report.batches += 1
        except BaseException:
            report.changed, report.related, report.figures = before
            raise
        if not self._record_here:
            together([self._entry()], self._account.rows.db)

    def stay_alive(self) -> None:
        """Renew the lease, for a time in which there is no batch."""
        try:
            with self._transaction(list):
                pass
        except (DatabaseError, InterfaceError) as error:  # the next batch renews it, or fails
            logger.warning("lease not renewed job=%s error=%s", self.report.name, str(error).strip())

    @contextmanager
    def _transaction(self, closing: Callable[[], list[Sql]]) -> Iterator[None]:
        with batch_transaction(
            self.using,
            lock_ms=conf.LOCKED_WAIT_MS,
            statement_ms=conf.STATEMENT_TIMEOUT_MS,
            flushed=not self._record_here,  # else the end of the job, written there too, is flushed
            opening=self._opening,
            closing=closing,
        ) as answer:
            self.lease.assert_ours(answer)
            yield

    @cached_property
    def _opening(self) -> list[Sql]:
        renewal, using = self.lease.renewal(), self.using
        return [composed(renewal, using)] if connections[using].vendor == "postgresql" else renewal

    @property
    def _record_here(self) -> bool:
        return self.record._state.db == self.using

    @cached_property
    def _account(self) -> Account:
        return Account(self.record)

    def _entry(self) -> Sql:
        report = self.report
        return self._account.entry(
            changed=report.changed,
            related=dict(report.related),
            figures=dict(report.figures),
            batches=report.batches,
            seconds=time.monotonic() - self.started,
        )


def preview_routine(routine: Routine, now: datetime, report: JobReport) -> None:
    started = time.monotonic()
    work_of(routine).preview(report.database, now, report)
    report.seconds = time.monotonic() - started


def do(routine: Routine, steps: Steps, pace: Pace) -> None:
    """Run it, unless the run must end before."""
    try:
        end = pace.over() or work_of(routine).run(steps, pace) or EndState.DRAINED
        steps.report.end_state = end
    finally:
        steps.report.waited = dict(pace.waited)


def work_of(routine: Routine) -> Work:
    work: Work = import_string(routine.work)(**routine.given)
    return work
