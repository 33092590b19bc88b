"""Runs that are killed, signalled or started twice, as real processes on a real database."""

import os
import random
import signal
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from session_cleanup.models import CleanupLease, CleanupRun, JobRun, Session, SessionMember
from tests.engine.processes import start
from tests.factories import UserFactory

JOB = "collaborative-expired"
KILLS = int(os.environ.get("FAULT_RUNS", "15"))  # FAULT_RUNS=200: the long form
LEASE = {"LEASE_SECONDS": 5, "STATEMENT_TIMEOUT_MS": 2000}

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]


def sessions(count: int, members: int = 2) -> None:
    """`count` expired sessions with `members` online, and half as many that live on."""
    now = timezone.now()
    users = [UserFactory() for _ in range(members)]
    rows = Session.objects.bulk_create(
        Session(kind="collaborative", expires_at=now + timedelta(hours=1 if number % 3 == 0 else -1))
        for number in range(count + count // 2)
    )
    SessionMember.objects.bulk_create(
        SessionMember(session=row, user=user, is_online=True) for row in rows for user in users
    )


COUNTING = """
CREATE TABLE change_log (tab text, id bigint);
CREATE FUNCTION log_change() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO change_log VALUES (TG_TABLE_NAME, NEW.id); RETURN NULL; END $$;
CREATE TRIGGER log_change AFTER UPDATE ON session_cleanup_session FOR EACH ROW EXECUTE FUNCTION log_change();
CREATE TRIGGER log_change AFTER UPDATE ON session_cleanup_sessionmember
  FOR EACH ROW EXECUTE FUNCTION log_change();
"""
NOT_COUNTING = """
DROP TRIGGER log_change ON session_cleanup_session;
DROP TRIGGER log_change ON session_cleanup_sessionmember;
DROP FUNCTION log_change; DROP TABLE change_log;
"""


@pytest.fixture
def changes():
    """Counts updates by trigger: call it for {(table, id): how often}."""

    def counted():
        with connection.cursor() as cursor:
            cursor.execute("SELECT tab, id, count(*) FROM change_log GROUP BY tab, id")
            return {(table, key): count for table, key, count in cursor.fetchall()}

    with connection.cursor() as cursor:
        cursor.execute(COUNTING)
    yield counted
    with connection.cursor() as cursor:
        cursor.execute(NOT_COUNTING)


def lease_time_passes() -> None:
    CleanupLease.objects.filter(expires_at__gt=Now()).update(expires_at=Now())


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_moments_every_due_row_is_changed_exactly_once(changes):
    sessions(count=80 * KILLS)
    expired = set(Session.objects.filter(expires_at__lt=timezone.now()).values_list("pk", flat=True))
    killed = 0
    for number in range(KILLS):
        known = list(JobRun.objects.values_list("pk", flat=True))
        child = start(JOB, BATCH_SIZE=7, PAUSE_MS=2, **LEASE)
        if number % 4:  # while it works; else at any moment, before it begins too
            wait_for_batches(random.randint(1, 8), JobRun.objects.exclude(pk__in=known))
        time.sleep(random.uniform(0, 0.05 if number % 4 else 0.9))
        child.kill()
        child.communicate()
        killed += child.returncode == -signal.SIGKILL
        lease_time_passes()
    last = start(JOB, **LEASE)
    last.communicate(timeout=60)

    assert last.returncode == 0
    assert killed > KILLS / 2
    assert set(Session.objects.filter(is_active=False).values_list("pk", flat=True)) == expired
    members = SessionMember.objects.values_list("pk", "is_online", "session__is_active")
    assert all(online == active for _, online, active in members)
    counts = changes()
    assert set(counts.values()) == {1}
    assert {key for table, key in counts if table == "session_cleanup_session"} == expired
    assert len(counts) == len(expired) * 3

    JobRun.objects.update(heartbeat_at=F("heartbeat_at") - timedelta(minutes=1))
    CleanupRun.objects.update(started_at=F("started_at") - timedelta(minutes=1))
    states = [run.state for run in JobRun.objects.order_by("pk")]
    assert set(states) <= {"died", "drained"}
    assert states.count("died") > 0
    assert states[-1] == "drained"
    assert {run.state for run in CleanupRun.objects.all()} <= {"died", "ok"}
    assert sum(JobRun.objects.values_list("changed", flat=True)) == len(expired)


def test_two_commands_at_the_same_instant_one_works_and_the_other_says_who():
    sessions(count=400)
    children = [start(JOB, BATCH_SIZE=5, PAUSE_MS=10) for _ in range(2)]
    said = {child.pid: child.communicate(timeout=60) for child in children}

    by_status = {child.returncode: child.pid for child in children}
    assert set(by_status) == {0, 4}
    assert f"(pid {by_status[0]}) since" in said[by_status[4]][0]
    assert not Session.objects.filter(expires_at__lt=timezone.now(), is_active=True).exists()
    assert sorted(run.end_state for run in JobRun.objects.all()) == ["busy", "drained"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_the_batch_under_way(number):
    sessions(count=3000)
    child = start(JOB, BATCH_SIZE=5, PAUSE_MS=20)
    wait_for_batches()
    child.send_signal(number)
    out, _ = child.communicate(timeout=30)

    assert child.returncode == 5
    assert "Work remains: stopped by a signal." in out
    job = JobRun.objects.get()
    assert job.end_state == "stopped"
    assert 0 < job.changed == Session.objects.filter(is_active=False).count()
    assert job.run.status == "stopped"


@pytest.mark.postgres
def test_a_second_signal_ends_the_process_at_once_and_nothing_is_half_done():
    sessions(count=50)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER dawdle BEFORE UPDATE ON session_cleanup_session "
            "FOR EACH ROW EXECUTE FUNCTION dawdle()"
        )
    try:
        child = start(JOB)
        deadline = time.monotonic() + 20
        while not in_pg_sleep() and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        asked = time.monotonic()
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            )
            cursor.execute("DROP TRIGGER dawdle ON session_cleanup_session; DROP FUNCTION dawdle")

    assert child.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - asked < 5
    assert not Session.objects.filter(is_active=False).exists()
    assert not SessionMember.objects.filter(is_online=False).exists()


def in_pg_sleep() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
        return bool(cursor.fetchone()[0])


def wait_for_batches(at_least: int = 2, runs: QuerySet[JobRun] | None = None) -> None:
    deadline = time.monotonic() + 20
    runs = JobRun.objects.all() if runs is None else runs
    while not runs.filter(batches__gte=at_least).exists():
        assert time.monotonic() < deadline, "the run never began"
        time.sleep(0.01)
