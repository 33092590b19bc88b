"""Promise 5: one process runs a job at a time, and nobody has to clean up after a dead one."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from session_cleanup.engine.connections import database_clock
from session_cleanup.engine.leases import Lease
from session_cleanup.exceptions import LeaseBusy, LeaseLost
from session_cleanup.models import CleanupLease, Session
from tests.factories import NOW, SECOND, SessionFactory

JOB = "collaborative-expired"
pytestmark = pytest.mark.django_db


def test_a_job_that_runs_is_busy_for_everybody_else():
    Lease.take(JOB, "default", run_id=1)

    with pytest.raises(LeaseBusy, match=r"is being run by \S+ \(pid \d+\) since .* its lease ends by itself"):
        Lease.take(JOB, "default", run_id=2)


def test_the_lease_of_a_dead_process_ends_by_itself_and_a_zombie_loses_it():
    dead = Lease.take(JOB, "default", run_id=1)
    CleanupLease.objects.update(expires_at=Now() - timedelta(seconds=1))

    heir = Lease.take(JOB, "default", run_id=2)

    heir.renew()
    with pytest.raises(LeaseLost):
        dead.renew()
    dead.release()  # harms nobody
    row = CleanupLease.objects.get()
    assert (row.token, row.run_id, row.fence) == (heir.token, 2, 2)
    assert CleanupLease.objects.filter(expires_at__gt=Now()).exists()


def test_a_lease_that_was_released_is_free_at_once():
    Lease.take(JOB, "default", run_id=1).release()

    Lease.take(JOB, "default", run_id=2)


def test_a_job_that_was_started_meanwhile_is_left_alone_even_when_it_is_done():
    before = database_clock("default")
    Lease.take(JOB, "default", run_id=1, since=before).release()  # its first run of all

    with pytest.raises(LeaseBusy, match=r"was left to \S+ \(pid \d+\), which started it at .*, when it was"):
        Lease.take(JOB, "default", run_id=2, since=before)
    assert Lease.take(JOB, "default", run_id=2, since=database_clock("default") + SECOND)


def test_a_renewal_lasts_the_full_time_again(settings):
    settings.SESSION_CLEANUP_LEASE_SECONDS = 60
    lease = Lease.take(JOB, "default", run_id=1)
    CleanupLease.objects.update(expires_at=Now() + timedelta(seconds=1))

    lease.renew()

    assert CleanupLease.objects.filter(expires_at__gt=Now() + timedelta(seconds=55)).exists()


def test_jobs_do_not_share_a_lease():
    Lease.take(JOB, "default", run_id=1)

    assert Lease.take("after-hours-close", "default", run_id=1)


def test_a_token_that_nobody_has_renews_nothing():
    with pytest.raises(LeaseLost):
        Lease(JOB, "default", uuid.uuid4()).renew()


def test_a_run_leaves_nothing_in_its_session_so_that_a_pooler_may_share_it(run):
    """Transaction pooling gives each transaction another server: no SET, lock or cursor may outlive one."""
    SessionFactory.create_batch(3, expires_at=NOW - SECOND)
    with CaptureQueriesContext(connection) as captured:
        run(JOB, batch_size=2)

    statements = [query["sql"].upper() for query in captured]
    assert not Session.objects.active().exists()
    for forbidden in ("SET SESSION", "LISTEN", "ADVISORY", "DECLARE", "PREPARE", "TEMP"):
        assert not [sql for sql in statements if forbidden in sql]
    parts = [part.strip() for sql in statements for part in sql.split(";")]
    settings = [part for part in parts if part.startswith("SET ")]
    assert all(part.startswith(("SET TRANSACTION", "SET LOCAL", "SET CONSTRAINTS")) for part in settings)
    assert all("TRUE)" in sql for sql in statements if "SET_CONFIG" in sql)
