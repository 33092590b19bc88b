"""Celery: a task that runs jobs. Beat is given its hours by what `cleanup_deploy celery` renders."""

from typing import Any

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.exceptions import SessionCleanupError
from session_cleanup.reporting import json as as_json

try:
    from celery import shared_task
except ImportError as error:
    raise ImportError(
        "session_cleanup.integrations.celery needs Celery. Install it: pip install 'session-cleanup[celery]'"
    ) from error


@shared_task(name="session_cleanup.run")  # type: ignore[untyped-decorator]
def run(*jobs: str) -> dict[str, Any]:
    """Run jobs or presets, and give the report; a task whose jobs failed has failed."""
    report = runner.run(RunRequest(jobs=jobs, trigger="celery"))
    if report.status == "failed":
        failed = ", ".join(job.name for job in report.jobs if job.error)
        raise SessionCleanupError(
            f"Run {report.run} failed: {failed}. Look at it in the admin, or in the log."
        )
    return as_json.as_dict(report)
