"""A job waits while the server is in trouble, and says why. Each trouble here is a real one."""

import time

import psycopg
import pytest
from django.db import ProgrammingError, connection

from session_cleanup.engine.pressure import Pressure
from session_cleanup.models import Session
from session_cleanup.reporting import text
from tests.engine.running import JOB, Running, sql, until
from tests.engine.troubles import (
    TABLE,
    dead_rows,
    much_to_log,
    open_transaction,
    prepared_transaction,
    replay_that_stands_still,
    writers_in_a_queue,
)
from tests.factories import NOW, SECOND, SessionFactory
from tests.plugins.postgres import NoPostgresError, Server

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("asked_often"),
]


@pytest.fixture(scope="module")
def standby(django_db_setup):
    """A connection to a standby of the server of the tests, made by pg_basebackup."""
    primary = connection.get_connection_params().get("host", "")
    if not primary.startswith("/"):
        pytest.skip("the server of DATABASE_URL is not ours: we make no standby of it")
    try:
        server = Server.start(primary=primary)
    except NoPostgresError as error:
        if "pg_basebackup: not found" in str(error):
            pytest.skip(str(error))
        raise
    try:
        with psycopg.connect(host=str(server.directory), user="postgres", autocommit=True) as connected:
            connected.execute("ALTER SYSTEM SET wal_receiver_status_interval = '1s'")
            connected.execute("SELECT pg_reload_conf()")
            yield connected
    finally:
        server.stop()


def waits(cause, reason, caplog, **options):
    """The job, after it was seen to wait for `cause` and to go on without it."""
    with cause:
        running = Running(**options)
        until(lambda: f"waiting job={JOB} reason={reason} figure=" in caplog.text, f"a wait for {reason}")
        done = Session.objects.inactive().count()
        time.sleep(0.5)  # several looks
        assert running.is_alive()
        assert Session.objects.inactive().count() == done
        assert "going on" not in caplog.text
    job = running.job()
    assert f"going on job={JOB} reason={reason}" in caplog.text
    assert (job.end_state, set(job.waited)) == ("drained", {reason})
    assert 0.5 <= job.waited[reason] <= job.seconds
    assert f"  Waited ({reason.replace('_', ' ')}): {job.waited[reason]:.1f} s\n" in text.render(
        running.report
    )
    return job


@pytest.mark.parametrize(
    ("cause", "reason", "setting", "limit"),
    [
        (open_transaction, "long_transaction", "MAX_TRANSACTION_SECONDS", 1),
        (prepared_transaction, "long_transaction", "MAX_TRANSACTION_SECONDS", 1),
        (writers_in_a_queue, "waiters", "MAX_WAITERS", 0),
        (dead_rows, "dead_tuples", "MAX_DEAD_TUPLES", 50),
    ],
)
def test_a_job_waits_while_it_lasts_and_says_why(settings, caplog, cause, reason, setting, limit):
    setattr(settings, f"SESSION_CLEANUP_{setting}", limit)
    SessionFactory.create_batch(3, expires_at=NOW - SECOND)

    job = waits(cause(), reason, caplog)

    assert job.changed == 3
    assert caplog.text.count("waiting job=") == caplog.text.count("going on job=") == 1


def test_a_job_waits_for_a_standby_that_is_behind(settings, caplog, standby):
    settings.SESSION_CLEANUP_MAX_REPLICA_LAG_MS = 500
    SessionFactory.create_batch(3, expires_at=NOW - SECOND)

    assert waits(replay_that_stands_still(standby), "replica_lag", caplog).changed == 3


@pytest.mark.slow
def test_a_job_keeps_to_a_rate_of_write_ahead_log(settings, caplog):
    """It began well, so some rows are done before the flood is seen."""
    settings.SESSION_CLEANUP_MAX_WAL_MB_PER_MINUTE = 120
    settings.SESSION_CLEANUP_PAUSE_MS = 20
    SessionFactory.create_batch(60, expires_at=NOW - SECOND)

    assert waits(much_to_log(), "wal", caplog, batch_size=1).changed == 60


@pytest.fixture
def plain_role():
    """A role that may do everything with the tables, but look into nobody else's sessions."""
    sql("CREATE ROLE plain")
    yield "plain"
    sql("RESET ROLE")
    sql("DROP ROLE plain")


def test_what_our_role_may_not_see_is_warned_of_once(settings, caplog, plain_role, standby):
    settings.SESSION_CLEANUP_MAX_TRANSACTION_SECONDS = 1
    settings.SESSION_CLEANUP_MAX_REPLICA_LAG_MS = 86_400_000
    blind, seeing = (Pressure(JOB, "default", TABLE) for _ in range(2))
    with open_transaction():
        sql("SET ROLE plain")
        assert blind.reason() is None
        time.sleep(0.1)
        assert blind.reason() is None
        for setting in ("MAX_TRANSACTION_SECONDS", "MAX_REPLICA_LAG_MS"):
            said = (
                f"not all can be seen job={JOB} setting=SESSION_CLEANUP_{setting}: grant this role pg_monitor"
            )
            assert caplog.text.count(said) == 1

        caplog.clear()
        sql("RESET ROLE")
        sql("GRANT pg_monitor TO plain")
        sql("SET ROLE plain")
        assert seeing.reason() == "long_transaction"
        assert "pg_monitor" not in caplog.text


def test_waiters_wal_and_dead_rows_need_no_more_rights(settings, caplog, plain_role):
    settings.SESSION_CLEANUP_MAX_WAITERS = settings.SESSION_CLEANUP_MAX_WAL_MB_PER_MINUTE = 1
    settings.SESSION_CLEANUP_MAX_DEAD_TUPLES = 10
    with dead_rows(), open_transaction():
        sql("SET ROLE plain")
        assert Pressure(JOB, "default", TABLE).reason() == "dead_tuples"
        sql("RESET ROLE")
    assert "pg_monitor" not in caplog.text


def test_dead_rows_of_partitions_count(settings):
    settings.SESSION_CLEANUP_MAX_DEAD_TUPLES = 50
    sql("CREATE TABLE parted (id int) PARTITION BY RANGE (id)")
    try:
        sql("CREATE TABLE part PARTITION OF parted DEFAULT WITH (autovacuum_enabled = false)")
        sql("INSERT INTO parted SELECT generate_series(1, 200)")
        assert Pressure(JOB, "default", "parted").reason() is None
        sql("DELETE FROM parted")
        until(lambda: Pressure(JOB, "default", "parted").reason() == "dead_tuples", "dead rows")
    finally:
        sql("DROP TABLE parted")


def test_a_limit_that_cannot_be_asked_for_fails_the_job_and_is_not_ignored(settings, plain_role):
    settings.SESSION_CLEANUP_MAX_WAL_MB_PER_MINUTE = 1
    sql("REVOKE EXECUTE ON FUNCTION pg_current_wal_lsn() FROM PUBLIC")
    try:
        sql("SET ROLE plain")
        with pytest.raises(ProgrammingError, match="permission denied for function pg_current_wal_lsn"):
            Pressure(JOB, "default", TABLE).reason()
    finally:
        sql("RESET ROLE")
        sql("GRANT EXECUTE ON FUNCTION pg_current_wal_lsn() TO PUBLIC")
