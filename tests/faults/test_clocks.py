"""A machine whose clock is an hour off: the database's clock decides what is due and whose lease is over."""

from datetime import timedelta
from pathlib import Path

import pytest

from session_cleanup.engine.connections import database_clock
from session_cleanup.models import CleanupLease, CleanupRun, JobRun
from tests.faults.adversaries import locked
from tests.faults.children import until_batches
from tests.faults.shapes import DRAFTS

pytestmark = [
    pytest.mark.fault,
    pytest.mark.postgres,  # the clock of SQLite is the machine's own
    pytest.mark.timeout(120),
]
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
# It waits for a row in the database: libfaketime does not get the sleep of a process right.
PATIENCE = {"LOCKED_WAIT_MS": 30_000, "STATEMENT_TIMEOUT_MS": 60_000, "LEASE_SECONDS": 90}
SLACK = timedelta(minutes=2)


def an_hour_off(sign):
    """The environment of a process that lives an hour before (+) or behind (-) everybody else."""
    if not LIBRARIES:
        pytest.skip("needs libfaketime (Debian: apt-get install faketime)")
    return {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": f"{sign}1h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def test_an_hour_more_or_less_changes_neither_what_is_due_nor_who_may_work(world, start):
    """Behind, nothing would be due yet. Ahead, rows that live would be, and leases would have ended."""
    with locked([(DRAFTS.counted[0], world.middle(DRAFTS))]):
        behind = start(DRAFTS.name, added=an_hour_off("-"), **PATIENCE)
        until_batches(1, JobRun.objects.filter(job=DRAFTS.name), behind)
        ahead = start(added=an_hour_off("+")).report()

    assert behind.report()[DRAFTS.name]["end_state"] == "drained"
    rival = ahead.pop(DRAFTS.name)
    assert rival["end_state"] == "busy", rival["error"]
    assert {job["end_state"] for job in ahead.values()} == {"drained"}
    now = database_clock("default")
    for run in CleanupRun.objects.all():
        assert abs(run.started_at - now) < SLACK
        assert abs(run.finished_at - now) < SLACK
    assert all(abs(lease.expires_at - now) < SLACK for lease in CleanupLease.objects.all())
    world.assert_true()
