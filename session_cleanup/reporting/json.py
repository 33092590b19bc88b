"""A run as one JSON object, for programs. Times are ISO 8601 in UTC with Z."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from session_cleanup.engine.report import JobReport, RunReport, Statistics
from session_cleanup.policies.job import Job
from session_cleanup.policies.policy import Policy

SKIPS = ("locked", "protected", "held")


def render(report: RunReport) -> str:
    return json.dumps(as_dict(report))


def as_dict(report: RunReport) -> dict[str, Any]:
    found: dict[str, Any] = {
        "run": report.run,
        "dry_run": report.dry_run,
        "started_at": iso(report.started_at),
        "finished_at": iso(report.finished_at),
        "status": report.status,
        "exit_status": report.exit_status,
        "jobs": [_job(job, dry_run=report.dry_run) for job in report.jobs],
    }
    if report.stats is not None:
        found["stats"] = {name: _statistics(figures) for name, figures in report.stats.items()}
    return found


def jobs(jobs: Sequence[Job], schedules: Mapping[str, str]) -> list[dict[str, Any]]:
    """The jobs, for --list."""
    return [_listed(job, schedules[job.name]) for job in jobs]


def _listed(job: Job, schedule: str) -> dict[str, Any]:
    policy = job if isinstance(job, Policy) else None
    return {
        "name": job.name,
        "group": job.group,
        "schedule": schedule,
        "action": policy and policy.action.name,
        "model": policy and policy.model,
        "preset": job.preset,
        "age_seconds": policy.age.total_seconds() if policy and policy.age is not None else None,
    }


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _statistics(figures: Statistics) -> dict[str, Any]:
    shown = asdict(figures)
    del shown["model"]
    return shown


def _job(job: JobReport, *, dry_run: bool) -> dict[str, Any]:
    made = {} if job.product is None else {"report": job.product}
    return {
        "name": job.name,
        "model": job.model if job.action else None,
        "database": job.database,
        "group": job.group,
        "action": job.action,
        "end_state": job.end_state,
        "cutoff": iso(job.cutoff),
        "due": job.due if dry_run else None,
        "changed": job.changed,
        "related": dict(job.related),
        "skipped": {**dict.fromkeys(SKIPS, 0), **job.skipped},
        "figures": {**job.figures, "estimated": job.estimated} if job.figures else {},
        "exact": not job.inexact,
        "batches": job.batches,
        "seconds": round(job.seconds, 3),
        "waited": {reason: round(seconds, 3) for reason, seconds in job.waited.items()},
        "walk": job.walk,
        "undo_until": iso(job.undo_until),
        "error": job.error,
        **made,
    }
