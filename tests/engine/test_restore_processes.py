"""Processes killed in the middle: of a run with undo, and of its restore."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from session_cleanup.models import CleanupLease, CleanupRun, Hold, Session, SessionMember, UndoRecord, UndoSet
from tests.engine.processes import start
from tests.engine.test_restore import everything
from tests.factories import UserFactory

JOB = "presentations-blank"
COUNT = 600

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault, pytest.mark.slow]


def fill():
    user = UserFactory()
    old = timezone.now() - timedelta(days=3)
    rows = Session.objects.bulk_create(
        Session(kind="presentation", has_blank_presentation=True, created_at=old) for _ in range(COUNT)
    )
    SessionMember.objects.bulk_create(SessionMember(session=row, user=user) for row in rows)


def records(model):
    keys = UndoSet.objects.filter(model=model).values_list("pk", flat=True)
    return UndoRecord.objects.filter(set_id__in=list(keys)).count()


def kill_when(child, condition):
    deadline = time.monotonic() + 30
    while not condition() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    child.kill()
    child.communicate()
    CleanupLease.objects.update(expires_at=timezone.now())  # a test need not wait for its end


def assert_all_is_somewhere():
    assert Session.objects.count() + records("session_cleanup.Session") == COUNT
    assert SessionMember.objects.count() + records("session_cleanup.SessionMember") == COUNT


def test_neither_a_row_without_a_record_nor_a_record_of_a_row_that_stayed():
    fill()
    before = everything()
    for left in (450, 300, 150):
        child = start(JOB, BATCH_SIZE=7, PAUSE_MS=5)
        kill_when(child, lambda left=left: Session.objects.count() < left)
        assert_all_is_somewhere()
    assert 0 < Session.objects.count() < 450
    assert CleanupRun.objects.filter(status="running").count() == 3

    runs = sorted(set(UndoSet.objects.values_list("run_id", flat=True)))
    for run in runs:
        there = Session.objects.count()
        child = start(str(run), command="restore_sessions")
        kill_when(child, lambda there=there: Session.objects.count() > there)
        assert_all_is_somewhere()
    for run in runs:
        child = start(str(run), command="restore_sessions")
        said, failed = child.communicate(timeout=60)
        assert child.returncode == 0 or "Nothing is left to restore" in failed, said + failed

    assert everything() == before
    assert not UndoRecord.objects.exists()
    assert Hold.objects.count() == Session.objects.count() + SessionMember.objects.count() - there_now(runs)


def there_now(runs):
    """Rows that no run had taken."""
    taken = sum(UndoSet.objects.filter(run_id__in=runs).values_list("restored", flat=True))
    return 2 * COUNT - taken
