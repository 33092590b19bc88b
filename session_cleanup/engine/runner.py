"""The one entrance: the command line, the admin and every scheduler run jobs through `run`.

Whatever can be refused is refused before the first change.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from django.db import DatabaseError, InterfaceError

from session_cleanup.conf import conf
from session_cleanup.engine.connections import database_clock
from session_cleanup.engine.discretion import discreet
from session_cleanup.engine.exactness import doubts
from session_cleanup.engine.execution import Execution, Observer, fail
from session_cleanup.engine.pacing import EndState
from session_cleanup.engine.plan import Plan
from session_cleanup.engine.preview import list_rows, preview
from session_cleanup.engine.report import JobReport, RunReport, RunRequest, Statistics
from session_cleanup.engine.routines import preview_routine
from session_cleanup.engine.statistics import ages, statistics
from session_cleanup.policies.job import Job, Routine
from session_cleanup.policies.policy import Policy

logger = logging.getLogger(__name__)


@discreet()
def run(
    request: RunRequest,
    *,
    policies: Sequence[Policy] = (),
    now: datetime | None = None,
    observer: Observer | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> RunReport:
    """Run, or preview, the jobs that `request` names, or `policies` of no registry.

    `now` is the run clock, aware (None: the database's clock). `stopped` is asked between batches.
    Raises ConfigurationError when something was refused and DatabaseUnavailable when a database does not
    answer at the start; nothing was touched then. Everything later is in the report.
    """
    plan = Plan.make(request, now, policies)
    before = _before(plan, request)
    if request.dry_run:
        _preview_all(plan, request)
    elif not conf.ENABLED:
        logger.warning("cleanup is disabled: SESSION_CLEANUP_ENABLED is False, so nothing was changed")
        for report in plan.reports:
            report.end_state = EndState.DISABLED
    else:
        list(_list(plan, request))  # before anything changes
        Execution(plan, request, observer or (lambda job, changed, share: None), stopped).run()
    return RunReport(
        run=plan.run_id,
        dry_run=request.dry_run,
        started_at=plan.now,
        finished_at=now or plan.finished_at or _now(plan),
        jobs=plan.reports,
        stats=before,
    )


def _now(plan: Plan) -> datetime:
    """The database's clock; ours, if a run ends because the database is gone."""
    try:
        return database_clock(plan.history)
    except (DatabaseError, InterfaceError):
        return datetime.now(UTC)


def count(request: RunRequest, *, now: datetime | None = None) -> RunReport:
    """The statistics of the jobs that `request` names, and nothing else."""
    plan = Plan.make(request, now)
    stats = statistics(plan.policies, plan.claims)
    return RunReport(run=None, dry_run=True, started_at=plan.now, finished_at=plan.now, jobs=[], stats=stats)


def _before(plan: Plan, request: RunRequest) -> dict[str, Statistics] | None:
    """The figures of --stats and --verbose, taken before anything changes."""
    doubted = dict(zip((policy.name for policy in plan.policies), doubts(plan.policies), strict=True))
    for report in plan.reports:
        report.inexact = doubted.get(report.name, [])
    if request.stats:
        return statistics(plan.policies, plan.claims)
    return ages(plan.policies, plan.claims) if request.ages else None


def _list(plan: Plan, request: RunRequest) -> Iterator[tuple[Job, JobReport]]:
    """Each job in turn, with the rows listed that are due for it by then."""
    for job, report in zip(plan.jobs, plan.reports, strict=True):
        if request.list_rows is not None and isinstance(job, Policy):
            try:
                list_rows(job, plan.claims[job.name], request.list_rows, report)
            except (DatabaseError, InterfaceError):  # the job itself will say what is wrong
                logger.exception("rows could not be listed job=%s", job.name)
        yield job, report


def _preview_all(plan: Plan, request: RunRequest) -> None:
    for job, report in _list(plan, request):
        try:
            if isinstance(job, Routine):
                preview_routine(job, plan.now, report)
            elif isinstance(job, Policy):
                preview(job, plan.claims[job.name], plan.remembered(job), plan.watched(job), report)
        except Exception as error:
            fail(report, error)
