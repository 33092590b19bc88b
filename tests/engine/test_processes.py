"""Runs that are signalled or started twice, as real processes on a real database."""

import signal
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from session_cleanup.models import JobRun, Session, SessionMember
from tests.engine.processes import dawdling, in_pg_sleep, start
from tests.factories import UserFactory

JOB = "collaborative-expired"

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
    sessions(count=2)
    with dawdling(seconds=5):
        child = start(JOB, "--batch-size=1")  # a single row is not given up
        deadline = time.monotonic() + 60
        while not in_pg_sleep() and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        asked = time.monotonic()
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)

    assert child.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - asked < 5
    assert not Session.objects.filter(is_active=False).exists()
    assert not SessionMember.objects.filter(is_online=False).exists()


def wait_for_batches() -> None:
    deadline = time.monotonic() + 20
    while not JobRun.objects.filter(batches__gte=2).exists():
        assert time.monotonic() < deadline, "the run never began"
        time.sleep(0.01)
