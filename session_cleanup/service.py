"""For a project's own code: thin names over the runner. Each gives the report of its run.

Call them outside `transaction.atomic()`, since batches commit by themselves. They raise ConfigurationError
when something was refused and DatabaseUnavailable when a database does not answer; nothing was touched
then. Whatever happened later is in the report: look at its `status`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import router

from session_cleanup.conf import SETTINGS, conf
from session_cleanup.engine import runner
from session_cleanup.engine.report import RunReport, RunRequest
from session_cleanup.models import CleanupRun, JobRun
from session_cleanup.policies import registry
from session_cleanup.policies.schedules import schedule_of

SECRET = ("_KEYS", "_SECRETS")  # settings whose names end so are shown nowhere


def perform_daily_cleanup(*, dry_run: bool = False, now: datetime | None = None) -> RunReport:
    """Run, or preview, the jobs of the group daily."""
    return _run(RunRequest(group="daily", dry_run=dry_run, trigger="service"), now)


def perform_weekly_compression(*, dry_run: bool = False, now: datetime | None = None) -> RunReport:
    """Run, or preview, the jobs of the group weekly: compress payloads, drop copies."""
    return _run(RunRequest(group="weekly", dry_run=dry_run, trigger="service"), now)


def generate_monthly_report(*, dry_run: bool = False, now: datetime | None = None) -> RunReport:
    """Make the report of the month that ended; it is the `product` of the only job."""
    return _run(RunRequest(jobs=("browser-report",), dry_run=dry_run, trigger="service"), now)


def _run(request: RunRequest, now: datetime | None) -> RunReport:
    return runner.run(request, now=now)


@dataclass(frozen=True)
class LastRun:
    """state: an end state, "running" or "died"."""

    run: int
    started_at: datetime
    state: str
    changed: int
    error: str


@dataclass(frozen=True)
class Status:
    """configuration: every setting in force but secrets; schedules and last_runs: by job, None: never."""

    configuration: dict[str, Any]
    schedules: dict[str, str]
    last_runs: dict[str, LastRun | None]


def service_status() -> Status:
    """How the jobs of this project are set up, and what the last run of each came to."""
    jobs = registry.jobs()
    rows = JobRun.objects.using(router.db_for_write(CleanupRun)).newest(job.name for job in jobs)
    last = {
        row.job: LastRun(row.run_id, row.run.started_at, row.state, row.changed, row.error) for row in rows
    }
    return Status(
        configuration={
            setting.name: getattr(conf, name)
            for name, setting in SETTINGS.items()
            if not name.endswith(SECRET)
        },
        schedules={job.name: schedule_of(job) for job in jobs},
        last_runs={job.name: last.get(job.name) for job in jobs},
    )
