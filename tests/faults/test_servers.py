"""A server of its own for each test: restarted, crashed, and one that ends connections inside COMMIT."""

import os
import signal

import pytest
from django.db import connection, connections

from session_cleanup.models import JobRun
from tests.faults.children import until, until_batches
from tests.faults.servers import administer, own_database, own_server

pytestmark = [pytest.mark.fault, pytest.mark.postgres, pytest.mark.timeout(120)]
NO_STANDBY = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"  # a commit waits for it for ever
NO_WAITING = "ALTER SYSTEM RESET synchronous_standby_names"
RELOAD = "SELECT pg_reload_conf()"


@pytest.fixture(scope="module")
def server(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), own_server() as server:
        yield server


@pytest.fixture
def database(transactional_db, server):
    """Where `world` is made."""
    with own_database(server):
        yield server


def batches_of(job):
    return JobRun.objects.filter(job=job)


def test_a_run_outlives_a_restart_and_a_crash_of_the_server(world, start, database):
    child = start(PAUSE_MS=30, added={"PGAPPNAME": "cleanup"})
    until_batches(2, batches_of("collaborative-expired"), child)
    connections.close_all()
    database.restart()
    until_batches(2, batches_of("books"), child)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'cleanup'")
        os.kill(cursor.fetchone()[0], signal.SIGKILL)  # the server ends all others and recovers
    connections.close_all()
    report = child.report()

    assert child.errors().count("trouble=LOST") >= 2
    assert {job["end_state"] for job in report.values()} == {"drained"}
    world.assert_true()


def test_a_connection_that_is_ended_while_it_waits_to_commit_costs_no_job(world, start, finish, database):
    """A commit that waits for a standby is done, and is told of a failure all the same. Batches do not
    wait, but what stands between two jobs does: the end of a lease, the record of the next job."""
    child = start(added={"PGOPTIONS": "-c synchronous_commit=on"}, PAUSE_MS=30)
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = local")  # ours do not wait
        until_batches(2, batches_of("collaborative-expired"), child)
        administer(database, NO_STANDBY, RELOAD)
        try:
            until(lambda: end_a_waiting_commit(cursor), "a commit that waits")
        finally:
            administer(database, NO_WAITING, RELOAD)
    report = child.report()

    assert {job["end_state"] for job in report.values()} == {"drained"}
    finish()
    world.assert_true()


def end_a_waiting_commit(cursor):
    cursor.execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    )
    return cursor.fetchone()[0]
