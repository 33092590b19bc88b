"""The job recurring-generate: creates the sessions that series have within their horizon.

Why it is safe: a series is locked and compared with what was read of it before anything is created; one that
somebody changed meanwhile is read again. Of a series of which a part was left out nothing that follows is
created either, so `generated_until` passes over nothing. A series that cannot be generated says so in its
`problem`, and the others go on; then the job has failed, until that series is mended or not active any more.
"""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, DataError, IntegrityError, connections
from django.db.models import F, QuerySet

from session_cleanup.engine.connections import Trouble, trouble
from session_cleanup.engine.pacing import EndState, Pace
from session_cleanup.engine.refusal import LOCKED
from session_cleanup.engine.report import JobReport
from session_cleanup.engine.routines import Steps
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import SessionMember, SessionSeries
from session_cleanup.models.history import as_stored
from session_cleanup.policies.claims import AmongKeys
from session_cleanup.recurrence.creating import Creator, foreseen
from session_cleanup.recurrence.planning import PAGE, Part, Planner, terms
from session_cleanup.recurrence.tally import Tally, problem_of

# How much longer than others its batches may last on PostgreSQL: nobody waits for rows that are new, only who
# changes one of the series at hand does.
LONGER = 4
BAD = (DataError, IntegrityError, OverflowError, ValueError)


class Generate:
    """The work of the job; with `series`, a uid, of that one alone and also when nothing of it is due."""

    def __init__(self, series: UUID | None = None, days_ahead: int | None = None) -> None:
        self.series = series
        self.days_ahead = days_ahead

    def refuse(self, using: str) -> None:
        rows = SessionSeries.objects.using(using).generated()
        if self.series and not rows.filter(uid=self.series).exists():
            raise ConfigurationError(f"There is no active series {self.series}. Look at its row.")

    def preview(self, using: str, now: datetime, report: JobReport) -> None:
        planner = self._planner(using, now)
        tally, members, report.due = Tally(), 0, 0
        while parts := planner.take(PAGE):
            for part, (sessions, more) in zip(parts, foreseen(parts, now, using), strict=True):
                tally.created(part.series, sessions)
                report.due += sessions
                members += more
        report.related = {SessionMember._meta.label: members} if members else {}
        report.skipped = {"failed": len(planner.bad)} if planner.bad else {}
        report.product = tally.shown

    def run(self, steps: Steps, pace: Pace) -> EndState | None:
        creation = Creation(steps, pace)
        try:
            end = creation.go(self._planner(steps.using, steps.now))
            if end is None and creation.missed:  # locked, or changed meanwhile: once more
                missed, creation.missed = creation.missed, set()
                end = creation.go(self._planner(steps.using, steps.now, among=missed))
        finally:
            steps.report.product = creation.tally.shown
        creation.tally.raise_failures()
        if creation.missed:
            steps.report.skipped = {LOCKED: len(creation.missed)}
            end = end or EndState.DRAINED_WITH_SKIPS
        return end

    def _planner(self, using: str, now: datetime, among: set[int] | None = None) -> Planner:
        rows = SessionSeries.objects.using(using)
        rows = rows.generated().filter(uid=self.series) if self.series else rows.to_generate(now)
        if among is not None:
            rows = rows.filter(pk__in=among)
        return Planner(_paged(rows), now, self.days_ahead)


def _paged(rows: QuerySet[SessionSeries]) -> Iterator[SessionSeries]:
    last = 0
    while page := list(rows.filter(pk__gt=last).order_by("pk")[:PAGE]):
        yield from page
        last = page[-1].pk


class Creation:
    """The batches of one run."""

    def __init__(self, steps: Steps, pace: Pace) -> None:
        self.steps = steps
        self.pace = pace
        self.creator = Creator(steps.now, steps.using)
        self.tally = Tally()
        self.missed: set[int] = set()  # locked by somebody, or changed since they were read
        self.bad: set[int] = set()
        self.target = pace.target * (1 if pace.sqlite else LONGER)

    def go(self, planner: Planner) -> EndState | None:
        """Create all that the planner gives, unless the run must end before."""
        while True:
            if end := self.pace.over():
                return end
            size = self.pace.next_rows(self.steps.report.changed)
            if not size:
                return EndState.CAPPED
            parts = planner.take(size)
            for series, error in planner.bad:
                self._record(series, error)
            planner.bad.clear()
            if not parts:
                return None
            self._create(parts)
            planner.leave(self.missed)
            planner.leave(self.bad)

    def _create(self, parts: list[Part]) -> None:
        """One batch; if it fails one for each series, so that it is known which is to blame."""
        began = time.monotonic()
        try:
            created = self._batch(parts)
        except (DatabaseError, OverflowError, ValueError) as error:
            locked = isinstance(error, DatabaseError) and trouble(error, self.steps.using) is Trouble.LOCKED
            if not locked and not isinstance(error, BAD):
                raise
            if len(parts) > 1:
                self._one_by_one(parts)
            elif locked:
                self.missed.add(parts[0].series.pk)
            else:
                self._record(parts[0].series, error)
            return
        for part in parts:
            self.tally.created(part.series, created[part.series.pk])
        seconds = time.monotonic() - began
        self.pace.rows.took(sum(part.size for part in parts), seconds, self.target)
        self.pace.rest(seconds)

    def _one_by_one(self, parts: list[Part]) -> None:
        for part in parts:
            if self.pace.over():  # each may have to wait for a lock
                return
            self._create([part])

    def _batch(self, parts: list[Part]) -> Counter[int]:
        steps = self.steps
        with steps.batch():
            ours = self._lock(parts)
            created, members = self.creator.create(ours)
            ends: dict[datetime, list[int]] = {}
            for part in ours:
                ends.setdefault(part.until, []).append(part.series.pk)
            for until, keys in ends.items():
                self._rows(keys).update(generated_until=as_stored(until), problem="")
            _count(steps.report, sum(created.values()), members)
        for part in ours:
            part.series.generated_until = as_stored(part.until)  # what is left of it begins there
        return created

    def _lock(self, parts: list[Part]) -> list[Part]:
        """Lock the series; gives the parts of those that are still as they were when they were read."""
        rows = self._free([part.series.pk for part in parts])
        found = {series.pk: terms(series) for series in rows}
        same = [part for part in parts if found.get(part.series.pk) == terms(part.series)]
        self.missed |= {part.series.pk for part in parts} - {part.series.pk for part in same}
        return same

    def _record(self, series: SessionSeries, error: Exception) -> None:
        problem = problem_of(error)
        self.bad.add(series.pk)
        self.tally.fail(series, problem)
        if series.problem != problem:
            with self.steps.batch():
                free = [each.pk for each in self._free([series.pk])]
                self._rows(free).update(problem=problem)

    def _free(self, keys: list[int]) -> QuerySet[SessionSeries]:
        """Those that nobody else has locked; now we have."""
        rows = self._rows(keys)
        if connections[self.steps.using].features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True, no_key=True)
        return rows

    def _rows(self, keys: list[int]) -> QuerySet[SessionSeries]:
        return SessionSeries.objects.using(self.steps.using).filter(AmongKeys(F("pk"), keys))


def _count(report: JobReport, sessions: int, members: int) -> None:
    report.changed += sessions
    report.figures = {"generated": report.changed}
    if members:
        label = SessionMember._meta.label
        report.related = {**report.related, label: report.related.get(label, 0) + members}
