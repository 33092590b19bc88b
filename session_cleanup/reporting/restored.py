"""What a restore did, as text and as JSON."""

import json
from collections.abc import Iterator
from datetime import datetime

from django.utils.timezone import is_naive, make_aware

from session_cleanup.engine.restore_report import REASONS, Restorable, RestoredJob, RestoreReport
from session_cleanup.reporting.json import iso

SHOWN = 20  # rows left alone that the text names; the JSON names more
RULE = "=" * 60


def as_json(report: RestoreReport) -> str:
    return (
        json.dumps(
            {
                "run": report.run,
                "restored_run": report.restored_run,
                "dry_run": report.dry_run,
                "started_at": iso(report.started_at),
                "finished_at": iso(report.finished_at),
                "status": report.status,
                "exit_status": report.exit_status,
                "held_until": iso(report.held_until),
                "jobs": [_job(job) for job in report.jobs],
            }
        )
        + "\n"
    )


def list_as_json(found: list[Restorable]) -> str:
    return json.dumps([{**vars(each), "until": iso(aware(each.until))} for each in found]) + "\n"


def list_as_text(found: list[Restorable]) -> str:
    lines = [
        f"Run {each.run}  {each.job}  {each.model}  in {each.database}  until {iso(aware(each.until))}"
        for each in found
    ]
    return "\n".join(lines or ["Nothing can be taken back."]) + "\n"


def aware(moment: datetime) -> datetime:
    return make_aware(moment) if is_naive(moment) else moment


def _job(job: RestoredJob) -> dict[str, object]:
    return {
        "name": job.name,
        "model": job.model,
        "database": job.database,
        "end_state": job.end_state,
        "restored": dict(job.restored),
        "left_alone": {reason: job.left_alone.get(reason, 0) for reason in REASONS},
        "rows": [vars(row) for row in job.rows],
        "emptied": job.emptied,
        "error": job.error,
    }


def as_text(report: RestoreReport) -> str:
    return "\n".join(_lines(report)) + "\n"


def _lines(report: RestoreReport) -> Iterator[str]:
    dry = " (dry run)" if report.dry_run else ""
    yield from (RULE, f"Restore of run {report.restored_run}{dry} - {iso(report.started_at)}", RULE)
    for job in report.jobs:
        yield from ("", f"Job: {job.name}")
        verb = "Rows that would come back" if report.dry_run else "Rows restored"
        for label, count in job.restored.items() or [(job.model, 0)]:
            yield f"  {verb}, {label}: {count}"
        for reason, count in job.left_alone.items():
            yield f"  Left alone, {REASONS[reason]}: {count}"
        for row in job.rows[:SHOWN]:
            detail = f" ({row.detail})" if row.detail else ""
            yield f"    {row.model} {row.pk}: {REASONS[row.reason]}{detail}"
        if job.left_alone.total() > SHOWN:
            yield f"    … and {job.left_alone.total() - SHOWN} more"
        for name in job.emptied:
            yield f"  Not kept, for it is secret and there was no key: {name} is empty in restored rows"
        if job.error:
            yield f"  Error: {job.error}"
    if report.held_until:
        yield from ("", f"No run touches the restored rows until {iso(report.held_until)} (holds).")
    yield from ("", RULE, _footer(report), RULE)


def _footer(report: RestoreReport) -> str:
    if report.dry_run:
        return "Dry run: nothing was changed"
    said = {
        "ok": "Restore completed successfully",
        "incomplete": "Restore completed; some rows were left alone",
        "stopped": "Restore stopped; the same command goes on",
    }
    unfinished = ", ".join(job.name for job in report.jobs if job.error)
    return said.get(report.status, f"Restore failed: {unfinished}. The same command goes on")
