"""While a job waits or pauses it can be ended, its lease stays its own, and what it asks for is cheap."""

import time

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from session_cleanup.engine import runner
from session_cleanup.engine.leases import Lease
from session_cleanup.engine.pressure import SIGNS
from session_cleanup.engine.report import RunRequest
from session_cleanup.exceptions import LeaseBusy
from session_cleanup.models import CleanupLease, JobRun, Session
from tests.engine.running import JOB, Running, sql, until
from tests.engine.troubles import open_transaction
from tests.factories import NOW, SECOND, SessionFactory

SHORT_LEASE = {"LEASE_SECONDS": 5, "STATEMENT_TIMEOUT_MS": 2000}

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("asked_often")]


@pytest.fixture
def configure(settings):
    def configure(**values):
        for name, value in values.items():
            setattr(settings, f"SESSION_CLEANUP_{name}", value)

    return configure


def waiting(caplog):
    return f"waiting job={JOB} reason=long_transaction" in caplog.text


@pytest.mark.postgres
def test_max_seconds_ends_a_job_that_waits(configure, caplog):
    configure(MAX_TRANSACTION_SECONDS=1)
    SessionFactory(expires_at=NOW - SECOND)
    with open_transaction():
        job = Running(max_seconds=2).job()

    assert waiting(caplog)
    assert (job.end_state, job.changed) == ("timed_out", 0)
    assert 0 < job.waited["long_transaction"] < 3


@pytest.mark.postgres
def test_a_signal_ends_a_job_that_waits(configure, caplog):
    configure(MAX_TRANSACTION_SECONDS=1)
    SessionFactory(expires_at=NOW - SECOND)
    with open_transaction():
        running = Running()
        until(lambda: waiting(caplog), "a wait")
        running.asked_to_stop = True
        job = running.job()

    assert (job.end_state, job.changed) == ("stopped", 0)
    assert JobRun.objects.get().end_state == "stopped"


def lease_is_ours():
    return CleanupLease.objects.filter(job=JOB, expires_at__gt=Now()).exists()


def stays_ours(running, seconds):
    """For so long the lease never ends, nobody else gets it, and the history says that the job lives."""
    until(lease_is_ours, "a lease")
    heartbeat = JobRun.objects.get().heartbeat_at
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert running.is_alive()
        assert lease_is_ours()
        time.sleep(0.1)
    with pytest.raises(LeaseBusy):
        Lease.take(JOB, "default", run_id=0)
    record = JobRun.objects.get()
    assert record.state == "running"
    assert (record.heartbeat_at - heartbeat).total_seconds() > seconds / 2


@pytest.mark.postgres
@pytest.mark.slow
def test_the_lease_outlives_a_wait_that_is_longer_than_it(configure):
    configure(MAX_TRANSACTION_SECONDS=1, **SHORT_LEASE)
    SessionFactory(expires_at=NOW - SECOND)
    with open_transaction():
        running = Running()
        stays_ours(running, seconds=6)

    assert (running.job().end_state, running.job().changed) == ("drained", 1)


@pytest.mark.slow
def test_the_lease_outlives_a_pause_that_is_longer_than_it(configure):
    configure(PAUSE_MS=7000, **SHORT_LEASE)
    SessionFactory(expires_at=NOW - SECOND)
    running = Running()
    stays_ours(running, seconds=6)

    assert (running.job().end_state, running.job().changed) == ("drained", 1)


def test_a_job_whose_lease_is_taken_over_in_a_pause_ends_there(configure):
    configure(PAUSE_MS=60_000, **SHORT_LEASE)
    SessionFactory.create_batch(2, expires_at=NOW - SECOND)
    running = Running(batch_size=1)
    until(lambda: JobRun.objects.filter(batches=1).exists(), "the first batch")
    CleanupLease.objects.update(token="00000000-0000-0000-0000-000000000001")

    job = running.job()

    assert (job.end_state, job.changed) == ("lease_lost", 1)
    assert Session.objects.active().count() == 1


@pytest.mark.postgres
def test_a_connection_that_is_cut_in_a_wait_is_taken_up_again(configure, caplog):
    configure(MAX_TRANSACTION_SECONDS=1)
    SessionFactory(expires_at=NOW - SECOND)
    with open_transaction():
        running = Running()
        until(lambda: waiting(caplog), "a wait")
        caplog.clear()
        sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle'"
        )
        until(lambda: waiting(caplog), "another wait")
        assert Session.objects.active().count() == 1

    assert (running.job().error, running.job().changed) == (None, 1)


@pytest.mark.postgres
def test_no_limit_asks_nothing_and_all_limits_one_thing(configure):
    def statements():
        with CaptureQueriesContext(connection) as captured:
            job = runner.run(RunRequest(jobs=(JOB,)), now=NOW).jobs[0]
        assert (job.end_state, job.waited) == ("drained", {})
        return [query["sql"] for query in captured]

    statements()  # the row of the lease is made once
    unlimited = statements()
    configure(**{sign.setting: 86_400 if "SEC" in sign.setting else 10_000 for sign in SIGNS})
    limited = statements()

    assert not [sql for sql in unlimited if "pg_" in sql]
    assert len(limited) == len(unlimited) + 1
    [asked] = [sql for sql in limited if "pg_stat_replication" in sql]
    for source in ("pg_stat_activity", "pg_locks", "pg_current_wal_lsn", "pg_stat_get_dead_tuples"):
        assert source in asked


@pytest.mark.postgres
def test_a_long_job_asks_once_in_a_while(configure, monkeypatch):
    monkeypatch.setattr("session_cleanup.engine.pressure.ASK_SECONDS", 3600)
    configure(MAX_WAITERS=10_000)
    SessionFactory.create_batch(20, expires_at=NOW - SECOND)
    with CaptureQueriesContext(connection) as captured:
        runner.run(RunRequest(jobs=(JOB,), batch_size=1), now=NOW)

    assert len([query for query in captured if "pg_locks" in query["sql"]]) == 1
