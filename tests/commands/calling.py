"""The command as Python calls it, with its exit status and what it prints."""

import json
from io import StringIO

from django.core.management import call_command

JOBS = [
    "presentations-blank",
    "collaborative-expired",
    "after-hours-close",
    "after-hours-declines",
    "after-hours-fingerprints",
    "after-hours-profiles",
    "after-hours-ended",
    "browser-expired",
    "browser-orphaned",
    "browser-excess",
    "browser-invalid",
    "browser-compress",
    "browser-duplicates",
    "browser-report",
    "recurring-activate",
    "recurring-close",
    "recurring-generate",
    "recurring-archive",
    "housekeeping-history",
    "housekeeping-undo",
    "housekeeping-undo-sets",
    "housekeeping-reports",
    "housekeeping-occurrences",
]
ROUTINES = {"browser-report", "recurring-generate"}
WHEN_ASKED_FOR = {"browser-compress", "browser-duplicates", "browser-report"}  # weekly and monthly


def call(*arguments, command="cleanup_sessions"):
    """The exit status and the output."""
    out = StringIO()
    try:
        call_command(command, *arguments, stdout=out)
    except SystemExit as left:
        return left.code, out.getvalue()
    return 0, out.getvalue()


def report_of(*arguments):
    status, shown = call(*arguments, "--format", "json")
    report = json.loads(shown)
    assert report["exit_status"] == status
    return report


def by_name(report):
    return {job["name"]: job for job in report["jobs"]}
