"""What the doctor found: as text for people, as one JSON object for programs."""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from session_cleanup.doctor.findings import Diagnosis, Examined, Finding, Severity
from session_cleanup.reporting.json import iso
from session_cleanup.reporting.text import RULE

WIDTH = 100


def as_json(diagnosis: Diagnosis) -> str:
    found = {
        "examined_at": iso(diagnosis.examined_at),
        "exit_status": diagnosis.exit_status,
        "jobs": [{**asdict(job), "share": job.share} for job in diagnosis.jobs],
        "findings": [asdict(finding) for finding in diagnosis.findings],
    }
    return json.dumps(found)


def as_text(diagnosis: Diagnosis) -> str:
    return "\n".join(_lines(diagnosis)) + "\n"


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    yield from (RULE, "Cleanup Doctor", RULE, "")
    for job in diagnosis.jobs:
        yield from _job(job)
    for finding in diagnosis.findings:
        yield from _finding(finding)
    counts = {severity: diagnosis.count(severity) for severity in Severity}
    yield from (RULE, ", ".join(f"{severity}: {count}" for severity, count in counts.items()), RULE)


def _job(job: Examined) -> Iterator[str]:
    yield f"{job.name}: {job.action} {job.model} in {job.database}"
    if job.walk is None:
        yield from ("  Not examined", "")
        return
    yield f"  Walk: {job.walk}, {f'by {job.index}' if job.index else 'by no index'}"
    yield f"  Rows: {_rows(job)}"
    for question in job.questions:
        yield "  Plan:"
        yield from (f"    {line}" for line in question.plan)
    yield ""


def _rows(job: Examined) -> Any:
    if job.rows is None:
        return "not known (the count took too long or failed)"
    about = "about " if job.sampled else ""
    due = "not known" if job.due is None else f"{about}{job.due:,} ({job.share:.1%})"
    return f"{about}{job.rows:,}, due: {due}"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.severity.upper()} {finding.slug}: {finding.subject}"
    for text in (finding.what, finding.why, f"Cure: {finding.cure}"):
        yield from textwrap.wrap(
            text,
            WIDTH,
            initial_indent="  ",
            subsequent_indent="  ",
            break_on_hyphens=False,
            break_long_words=False,
        )
    yield from (f"    {line}".rstrip() for line in finding.migration.splitlines())
    yield ""
