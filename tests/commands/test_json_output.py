"""--format json prints one object, whose shape programs rely on."""

from datetime import datetime

import pytest

from session_cleanup.models import CleanupRun
from tests.commands.calling import report_of
from tests.factories import DAY


def test_a_real_run_as_json(some_due):
    report = report_of("presentations", "collaborative")

    run = CleanupRun.objects.get()
    cutoffs = [datetime.fromisoformat(job.pop("cutoff")) for job in report["jobs"]]
    seconds = [job.pop("seconds") for job in report["jobs"]]
    undo_until = [job.pop("undo_until") for job in report["jobs"]]
    started, finished = (report.pop(key) for key in ("started_at", "finished_at"))
    common = {"database": "default", "group": "daily", "end_state": "drained", "due": None}
    ending = {
        "skipped": {"locked": 0, "protected": 0, "held": 0},
        "figures": {},
        "exact": True,
        "batches": 1,
        "waited": {},
        "walk": "keyset",
        "error": None,
    }
    assert report == {
        "run": run.pk,
        "dry_run": False,
        "status": "ok",
        "exit_status": 0,
        "jobs": [
            {
                "name": "presentations-blank",
                "model": "session_cleanup.Session",
                "action": "delete",
                "changed": 2,
                "related": {},
                **common,
                **ending,
            },
            {
                "name": "collaborative-expired",
                "model": "session_cleanup.Session",
                "action": "deactivate",
                "changed": 1,
                "related": {"session_cleanup.SessionMember": 1},
                **common,
                **ending,
            },
        ],
    }
    assert started.endswith("Z")
    assert datetime.fromisoformat(undo_until[0]) == datetime.fromisoformat(started) + 30 * DAY
    assert undo_until[1] is None
    assert cutoffs[0] == datetime.fromisoformat(started) - DAY
    assert cutoffs[1] == datetime.fromisoformat(started) <= datetime.fromisoformat(finished)
    assert all(value >= 0 for value in seconds)


def test_a_dry_run_as_json(some_due):
    report = report_of("collaborative-expired", "--dry-run")

    [job] = report["jobs"]
    assert (report["run"], report["dry_run"], report["status"]) == (None, True, "ok")
    assert (job["due"], job["changed"], job["end_state"]) == (1, 0, None)
    assert job["related"] == {"session_cleanup.SessionMember": 1}


@pytest.mark.parametrize("option", ["--stats", "--verbose"])
def test_statistics_as_json(some_due, option):
    assert report_of(option)["stats"]["collaborative"] == {
        "active": 1,
        "inactive": 0,
        "total": 1,
        "due": 1,
        "orphaned": None,
        "by_age": None,
    }


def test_json_has_no_statistics_unless_they_are_asked_for(db):
    assert "stats" not in report_of()
