"""Reads the figures of the statistics page. Nothing here writes, and every reading is bounded."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from django.db import router
from django.db.models import Count, Prefetch, Q
from django.utils.translation import gettext as _

from session_cleanup.conf import conf
from session_cleanup.engine import statistics
from session_cleanup.engine.connections import database_clock
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import CleanupRun, JobRun, Session
from session_cleanup.models.history import as_stored
from session_cleanup.policies import fit, registry, validation
from session_cleanup.policies.claims import Claims
from session_cleanup.policies.job import Job
from session_cleanup.policies.policy import Policy
from session_cleanup.scheduling.schedules import schedule_of
from session_cleanup.web.admin.figures import (
    AgeFigures,
    Figures,
    JobFigures,
    KindFigures,
    LastRun,
    RunFigures,
)
from session_cleanup.web.admin.reading import Fault, Reader
from session_cleanup.web.admin.states import state_of, with_died

T = TypeVar("T")
LATEST = 20  # runs that the page shows


def gather() -> Figures:
    """Everything the page shows. A broken configuration or database raises nothing: it is shown."""
    problems = [str(problem) for problem in validation.problems() if problem.id.startswith("E")]
    try:
        jobs, enabled = registry.jobs(), conf.ENABLED
    except ConfigurationError as error:
        problems, jobs, enabled = problems or [str(error)], [], True
    reader = Reader()
    history, sessions = router.db_for_write(CleanupRun), router.db_for_write(Session)
    now = reader.read(history, lambda: database_clock(history))
    last = reader.bounded(history, lambda: _last_runs(jobs, history))
    counts = _Counts(reader)
    return Figures(
        now=as_stored(now) if isinstance(now, datetime) else None,
        problems=problems,
        enabled=enabled,
        runs=reader.bounded(history, lambda: _runs(history)),
        sessions=reader.bounded(sessions, lambda: _sessions(sessions)),
        jobs=[_job(job, counts, last) for job in jobs],
        ages=[
            AgeFigures(policy.name, counts.ask(policy, statistics.by_age))
            for policy in registry.policies_among(jobs)
            if policy.by_age
        ],
    )


class _Counts:
    """Questions about single jobs. Jobs in one database are judged at one moment."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.claims: dict[str, Claims | Fault | None] = {}

    def ask(self, job: Policy, question: Callable[[Policy, Claims], T]) -> T | Fault | None:
        for problem in fit.of_policy(job):
            if problem.id.startswith("E"):
                return Fault(str(problem))
        using = job.get_database()
        if using not in self.claims:
            self.claims[using] = self.reader.read(using, lambda: Claims(using, database_clock(using)))
        here = self.claims[using]
        if not isinstance(here, Claims):
            return here
        return self.reader.read(using, lambda: question(job, here))


def _job(job: Job, counts: _Counts, last: dict[str, LastRun] | Fault | None) -> JobFigures:
    action = model = ""
    due = None
    if isinstance(job, Policy):
        action, model = job.action.name, job.model
        due = counts.ask(job, statistics.count_due)
    if last is None:
        last = Fault(_("unknown"))
    try:
        schedule = schedule_of(job)
    except ConfigurationError:
        schedule = ""  # one of the problems
    return JobFigures(
        name=job.name,
        action=action,
        model=model,
        schedule=schedule,
        due=due,
        last=last.get(job.name) if isinstance(last, dict) else last,
    )


def _last_runs(jobs: Sequence[Job], using: str) -> dict[str, LastRun]:
    rows = JobRun.objects.using(using).newest(job.name for job in jobs)
    return {
        row.job: LastRun(row.run_id, row.run.started_at, state_of(row), row.changed)
        for row in with_died(rows)
    }


def _sessions(using: str) -> list[KindFigures]:
    kinds = dict(Session.Kind.choices)
    counts = (
        Session._base_manager.using(using)
        .order_by("kind")
        .values_list("kind")
        .annotate(
            active=Count("pk", filter=Q(is_active=True)),
            inactive=Count("pk", filter=Q(is_active=False, ended_at__isnull=True)),
            ended=Count("pk", filter=Q(is_active=False, ended_at__isnull=False)),
            total=Count("pk"),
        )
    )
    return [KindFigures(str(kinds.get(kind, kind)), *figures) for kind, *figures in counts]


def _runs(using: str) -> list[RunFigures]:
    """The latest runs, those that failed first."""
    jobs = with_died(JobRun.objects.using(using)).only("run_id", "job", "end_state", "changed")
    latest = with_died(CleanupRun.objects.using(using)).order_by("-pk")[:LATEST]
    runs = [_run(run) for run in latest.prefetch_related(Prefetch("jobs", jobs.order_by("pk")))]
    return sorted(runs, key=lambda run: not run.state.is_bad)


def _run(run: CleanupRun) -> RunFigures:
    jobs = run.jobs.all()
    return RunFigures(
        run_id=run.pk,
        state=state_of(run),
        started_at=run.started_at,
        took=run.finished_at - run.started_at if run.finished_at else None,
        changed=sum(job.changed for job in jobs),
        failed=[job.job for job in jobs if state_of(job).is_bad],
        trigger=run.trigger,
        actor=run.actor,
        host=run.host,
    )
