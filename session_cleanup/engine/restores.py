"""The entrance of `restore_sessions`: finds the records of a run and restores them, written down as a run.

It works while SESSION_CLEANUP_ENABLED is False: that stops what takes rows away.
"""

import logging
import os
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, router
from django.db.models.functions import Now

from session_cleanup.conf import conf
from session_cleanup.engine.connections import database_clock
from session_cleanup.engine.discretion import discreet
from session_cleanup.engine.hanging import AskedFor
from session_cleanup.engine.leases import Lease
from session_cleanup.engine.plan import check_tables
from session_cleanup.engine.rehearsal import rehearse
from session_cleanup.engine.report import sentence
from session_cleanup.engine.restore_report import Restorable, RestoredJob, RestoreReport, RestoreRequest
from session_cleanup.engine.restoring import Restoring, Stopped
from session_cleanup.exceptions import ConfigurationError, LeaseBusy, LeaseLost
from session_cleanup.models import CleanupLease, CleanupRun, Hold, JobRun, UndoRecord, UndoSet
from session_cleanup.models.history import as_stored
from session_cleanup.policies import registry
from session_cleanup.policies.sealing import check_keys

logger = logging.getLogger(__name__)
EndState = JobRun.EndState
JOB = "restore"  # what the history calls it
Part = tuple[RestoredJob, list[UndoSet], AskedFor | None]
Sets = dict[tuple[str, str], list[UndoSet]]  # by database and job


@discreet()
def restore(
    request: RestoreRequest, *, now: datetime | None = None, stopped: Callable[[], bool] = lambda: False
) -> RestoreReport:
    """Take back what `request` names. Raises ConfigurationError where there is nothing to take back."""
    check_keys()
    history = router.db_for_write(CleanupRun)
    check_tables(history, [CleanupRun, JobRun])
    now = now or database_clock(history)
    found = _find(request, history, now)
    report = RestoreReport(
        run=None, restored_run=request.run, dry_run=request.dry_run, started_at=now, finished_at=now, jobs=[]
    )
    for (using, job), sets in found.items():
        report.jobs.append(RestoredJob(name=job, model=_own_model(sets), database=using))
    asked = [AskedFor(job.model, request.pks, job.database) if request.pks else None for job in report.jobs]
    parts = list(zip(report.jobs, found.values(), asked, strict=True))
    if request.dry_run:
        for part, sets, rows in parts:
            rehearse(sets, part, rows)
    else:
        _execute(request, report, parts, history, stopped)
    report.finished_at = database_clock(history)
    return report


def restorable(now: datetime | None = None) -> list[Restorable]:
    """What can be taken back, the newest run first."""
    history = router.db_for_write(CleanupRun)
    check_tables(history, [CleanupRun, JobRun])
    now = now or database_clock(history)
    found: Sets = defaultdict(list)
    for using in _databases(history):
        for saved in UndoSet.objects.using(using).filter(expires_at__gt=as_stored(now)).order_by("-pk"):
            found[using, f"{saved.run_id} {saved.job}"].append(saved)
    return [
        Restorable(sets[0].run_id, sets[0].job, _own_model(sets), using, sets[0].expires_at)
        for (using, _), sets in sorted(found.items(), key=lambda item: -item[1][0].run_id)
        if _has_records(using, sets)
    ]


def _databases(history: str, more: Iterable[str] = ()) -> list[str]:
    """Where there may be records: undo lives beside the rows that it is about."""
    known = {history, *more, *(policy.get_database() for policy in registry.jobs())}
    found = sorted(known & set(connections))
    for using in found:
        check_tables(using, [CleanupLease, Hold, UndoRecord, UndoSet])
    return found


def _own_model(sets: Sequence[UndoSet]) -> str:
    """The model of the job: its set was made first."""
    return min(sets, key=lambda saved: saved.pk).model


def _find(request: RestoreRequest, history: str, now: datetime) -> Sets:
    """The sets to restore; refuses where there are none, and says why."""
    jobs = JobRun.objects.using(history).filter(run_id=request.run)
    every: list[tuple[str, UndoSet]] = []
    for using in _databases(history, jobs.values_list("database", flat=True)):
        sets = UndoSet.objects.using(using).filter(run_id=request.run).order_by("-pk")
        every += [(using, saved) for saved in sets]
    if not every:
        _refuse_without_sets(request.run, history)
    names = sorted({saved.job for _, saved in every})
    if request.job is not None and request.job not in names:
        raise ConfigurationError(
            f"Run {request.run} kept nothing of a job {request.job!r}. It kept something of "
            f"{', '.join(names)}."
        )
    if request.pks and request.job is None and len(names) > 1:
        raise ConfigurationError(
            f"--pk needs --job here, for run {request.run} kept rows of {', '.join(names)}."
        )
    wanted = [each for each in every if request.job in (None, each[1].job)]
    alive = [each for each in wanted if each[1].expires_at > as_stored(now)]
    if not alive:
        when = max(saved.expires_at for _, saved in wanted)
        raise ConfigurationError(
            f"The undo records of run {request.run} expired at {when:%Y-%m-%d %H:%M} UTC, so it cannot be "
            "taken back any more."
        )
    found: Sets = defaultdict(list)
    for using, saved in alive:
        found[using, saved.job].append(saved)
    if not any(_has_records(using, sets) for (using, _), sets in found.items()):
        done = sum(saved.restored for _, saved in alive)
        said = f"what it took was restored already ({done} rows)" if done else "it took nothing"
        raise ConfigurationError(f"Nothing is left to restore of run {request.run}: {said}.")
    return dict(found)


def _refuse_without_sets(run: int, history: str) -> None:
    if not CleanupRun.objects.using(history).filter(pk=run).exists():
        raise ConfigurationError(
            f"There is no run {run}. The history in the admin and the output of cleanup_sessions --format "
            "json name the runs."
        )
    raise ConfigurationError(
        f"Run {run} kept nothing to restore: it took nothing, none of its jobs has `undo`, or its records "
        "expired long ago."
    )


def _has_records(using: str, sets: Sequence[UndoSet]) -> bool:
    keys = {
        saved.expires_at: [each.pk for each in sets if each.expires_at == saved.expires_at] for saved in sets
    }
    return any(
        UndoRecord.objects.using(using).filter(expires_at=moment, set_id__in=ids).exists()
        for moment, ids in keys.items()
    )


def _execute(
    request: RestoreRequest,
    report: RestoreReport,
    parts: list[Part],
    history: str,
    stopped: Callable[[], bool],
) -> None:
    record = CleanupRun.objects.using(history).create(
        trigger=request.trigger,
        actor=request.actor,
        host=socket.gethostname(),
        pid=os.getpid(),
        options={"restore": request.run, "job": request.job, "rows": len(request.pks) or None},
        started_at=as_stored(report.started_at),
    )
    report.run = record.pk
    hold = None
    if conf.RESTORE_HOLD_DAYS:
        report.held_until = report.started_at + timedelta(days=conf.RESTORE_HOLD_DAYS)
        hold = {
            "until": as_stored(report.held_until),
            "reason": f"restored from run {request.run}",
            "created_by": request.actor,
        }
    for part in parts:
        _restore_job(request, part, record, history, hold, stopped)
    record.status, record.exit_status = report.status, report.exit_status
    record.finished_at = as_stored(database_clock(history))
    record.save(update_fields=["status", "exit_status", "finished_at"])
    logger.info(
        "restore finished run=%s restored_run=%s status=%s restored=%d left_alone=%d",
        *(record.pk, request.run, report.status),
        sum(job.restored.total() for job in report.jobs),
        sum(job.left_alone.total() for job in report.jobs),
    )


def _restore_job(
    request: RestoreRequest,
    part: Part,
    run: CleanupRun,
    history: str,
    hold: dict[str, Any] | None,
    stopped: Callable[[], bool],
) -> None:
    """Restore one job; whatever happens is in its report and in its record."""
    job, sets, asked = part
    started = time.monotonic()
    record = JobRun.objects.using(history).create(
        run=run,
        job=JOB,
        model=job.model,
        database=job.database,
        action=JOB,
        cursor={"run": request.run, "job": job.name},
        heartbeat_at=Now(),
    )
    try:
        lease = Lease.take(job.name, job.database, run.pk)
        try:
            restoring = Restoring(
                sets, job, lease=lease, record=record, asked=asked, hold=hold, stopped=stopped
            )
            restoring.run()
            job.end_state = EndState.DRAINED_WITH_SKIPS if job.left_alone else EndState.DRAINED
        finally:
            lease.release()
    except Stopped:
        job.end_state = EndState.STOPPED
    except LeaseBusy as busy:
        job.end_state, job.error = EndState.BUSY, str(busy)
    except LeaseLost as lost:
        job.end_state, job.error = EndState.LEASE_LOST, str(lost)
    except Exception as error:
        logger.exception("restore failed job=%s error=%s", job.name, type(error).__name__)
        job.end_state, job.error = EndState.FAILED, f"{type(error).__name__}: {sentence(error)}"
    try:
        JobRun.objects.using(history).filter(pk=record.pk).update(
            end_state=job.end_state,
            skipped=dict(job.left_alone),
            seconds=time.monotonic() - started,
            error=job.error or "",
        )
    except (DatabaseError, InterfaceError):
        logger.exception("the end of a restore could not be written job=%s", job.name)
