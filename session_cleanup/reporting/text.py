"""A run as text, for people. The shape is that of the first system's original job."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps

from session_cleanup.engine.report import JobReport, RunReport, Statistics
from session_cleanup.policies.job import Job
from session_cleanup.policies.policy import Policy
from session_cleanup.reporting.exports import text_lines
from session_cleanup.reporting.json import iso

RULE = "=" * 60
UNKNOWN = "not known (the count took too long or failed)"


def render(report: RunReport, *, verbose: bool = False) -> str:
    return "\n".join(_lines(report, verbose)) + "\n"


def _lines(report: RunReport, verbose: bool) -> Iterator[str]:
    title = "Session Cleanup Job (dry run)" if report.dry_run else "Session Cleanup Job"
    yield from (RULE, f"{title} - {iso(report.started_at)}", RULE, "")
    for figures in (report.stats or {}).values():
        yield from _ages(figures)
    if verbose:
        yield from _statistics(report.stats or {})
    for job in report.jobs:
        yield from _listing(job, report.started_at)
    yield from (("Checking what would be done..." if report.dry_run else "Running cleanup..."), "")
    for job in report.jobs:
        yield from _result(job, report, verbose)
    yield from (RULE, _footer(report), RULE)


def render_statistics(report: RunReport) -> str:
    """The statistics alone, for --stats."""
    stats = report.stats or {}
    lines = [RULE, f"Session Cleanup Statistics - {iso(report.started_at)}", RULE, ""]
    for figures in stats.values():
        lines += _ages(figures)
    return "\n".join([*lines, *_statistics(stats), RULE]) + "\n"


def render_list(jobs: Sequence[Job], schedules: dict[str, str]) -> str:
    """The jobs with what they do and when, for --list."""
    rows = [("JOB", "GROUP", "SCHEDULE (UTC)", "ACTION", "MODEL", "AGE")]
    for job in jobs:
        does = ("", "", "")
        if isinstance(job, Policy):
            does = (job.action.name, job.model, _age(job.age) if job.age else "")
        rows.append((job.name, job.group, schedules[job.name], *does))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _ages(figures: Statistics) -> Iterator[str]:
    if figures.by_age is not None:
        ages = ", ".join(f"{bucket}={_figure(count, '?')}" for bucket, count in figures.by_age.items())
        yield "Checking orphaned sessions..."
        yield f"  Total orphaned: {_figure(figures.orphaned)}"
        yield f"  By age: {ages}"
        yield ""


def _statistics(stats: dict[str, Statistics]) -> Iterator[str]:
    for name, figures in stats.items():
        noun = _noun(figures.model)
        yield f"Statistics: {name}"
        if figures.active is not None or figures.inactive is not None:
            yield f"  Active {noun}: {_figure(figures.active)}"
            yield f"  Inactive {noun}: {_figure(figures.inactive)}"
        yield f"  Total {noun}: {_figure(figures.total)}"
        yield f"  {_capital(noun)} that would be cleaned up: {_figure(figures.due)}"
        yield ""


def _listing(job: JobReport, now: datetime) -> Iterator[str]:
    if not job.rows:
        return
    yield f"Due for {job.name}:"
    for row in job.rows:
        shown = [f"{value}" for value in row.columns.values() if value not in ("", None)]
        shown.append(f"id {row.key}")
        if isinstance(row.clock, datetime):
            clock = row.clock if row.clock.tzinfo else row.clock.astimezone()
            days = (now - clock) / timedelta(days=1)
            shown.append(f"{job.clock} {iso(clock)} ({days:.1f} days ago)")
        elif row.clock is not None:
            shown.append(f"{job.clock} {row.clock}")
        yield f"  - {', '.join(shown)}"
    if job.more_rows:
        yield f"  … and {job.more_rows} more"
    yield ""


def _result(job: JobReport, report: RunReport, verbose: bool) -> Iterator[str]:
    noun = _capital(_noun(job.model))
    if report.dry_run and job.product is not None and "metrics" in job.product:
        yield from (*text_lines(job.product), "")
    yield "Cleanup Result:" if len(report.jobs) == 1 else f"Cleanup Result: {job.name}"
    if report.dry_run and job.error is None:
        yield f"  {noun} that would be {job.verb}: {job.due}"
    else:
        yield f"  Success: {job.end_state not in ('failed', 'lease_lost', 'busy')}"
        if job.error:
            yield f"  Error: {job.error}"
        yield f"  {noun} found: {job.changed + sum(job.skipped.values())}"
        yield f"  {noun} {job.verb}: {job.changed}"
    for label, count in sorted(job.related.items()):
        yield f"  Related {_noun(label)}: {count}"
    if "bytes_before" in job.figures:
        before, after = job.figures["bytes_before"], job.figures["bytes_after"]
        estimated = " (estimated from a sample)" if job.estimated else ""
        yield f"  Bytes saved: {before - after:,} of {before:,}{estimated}"
    for name, count in job.figures.items():
        if not name.startswith("bytes_"):
            yield f"  {_capital(name)}: {count}"
    for reason, count in sorted(job.skipped.items()):
        if count:
            yield f"  Skipped ({reason}): {count}"
    for reason, seconds in sorted(job.waited.items()):
        yield f"  Waited ({reason.replace('_', ' ')}): {seconds:.1f} s"
    if job.cutoff:
        yield f"  Cutoff time: {iso(job.cutoff)}"
    if verbose:
        yield f"  Walk: {WALKS[job.walk]}" + (f", {job.batches} batches" if job.batches else "")
    if job.age_option and job.age is not None:
        yield f"  Age in force: {_age(job.age)} (--{job.age_option})"
    if report.dry_run and job.inexact:
        yield f"  Not exact: {'; '.join(job.inexact)}"
    if job.end_state in ENDS:
        yield f"  {ENDS[job.end_state]}"
    yield ""


WALKS: dict[str | None, str] = {"keyset": "in keyset order", "heap": "along the heap", None: "none"}
ENDS: dict[str | None, str] = {
    "capped": "Work remains: --max-rows was reached.",
    "timed_out": "Work remains: --max-seconds was reached.",
    "stopped": "Work remains: stopped by a signal.",
    "disabled": "Nothing was changed: SESSION_CLEANUP_ENABLED is False.",
}


def _footer(report: RunReport) -> str:
    failed = ", ".join(job.name for job in report.jobs if job.end_state in ("failed", "lease_lost"))
    busy = ", ".join(job.name for job in report.jobs if job.end_state == "busy")
    footers = {
        "failed": f"Cleanup failed: {failed}",
        "busy": f"Cleanup left to another process: {busy}",
        "stopped": "Cleanup stopped after the batch under way",
        "incomplete": "Cleanup incomplete: run it again to go on",
        "disabled": "Cleanup is disabled: nothing was changed",
        "ok": "Dry run: nothing was changed" if report.dry_run else "Cleanup completed successfully",
    }
    return footers[report.status]


def _noun(label: str) -> str:
    return str(apps.get_model(label)._meta.verbose_name_plural)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _figure(count: int | None, unknown: str = UNKNOWN) -> Any:
    return unknown if count is None else count


def _age(age: timedelta) -> str:
    hours = age / timedelta(hours=1)
    return f"{hours / 24:g} days" if hours % 24 == 0 and hours > 24 else f"{hours:g} hours"
