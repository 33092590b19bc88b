"""Whether somebody else wrote meanwhile, and the second pass along the heap when somebody did."""

import pytest
from django.db import connection

from session_cleanup.engine import runner
from session_cleanup.engine.connections import Alone
from session_cleanup.engine.pacing import Size
from session_cleanup.engine.report import RunRequest
from session_cleanup.engine.walks import HeapWalk
from session_cleanup.models import Session
from tests.engine.test_concurrency import another_connection
from tests.factories import NOW, SECOND, SessionFactory

JOB = "collaborative-expired"
pytestmark = pytest.mark.django_db(transaction=True)


def write():
    SessionFactory(expires_at=NOW)


def test_our_own_transactions_are_told_from_those_of_others():
    write()
    alone = Alone("default", (5, 0))
    assert alone.until((5, 0))
    write()
    write()
    assert alone.until((7, 0))
    with another_connection() as other:
        other(write)
    assert not alone.until((7, 0))


def test_after_a_failure_nobody_can_tell():
    assert not Alone("default", (5, 0)).until((5, 1))


@pytest.mark.postgres
def test_one_that_began_after_our_last_counts_if_asked_for():
    write()
    alone = Alone("default", (0, 0))
    with another_connection() as other:
        other(write)
        assert alone.until((0, 0))
        assert not alone.until((0, 0), to_the_last=True)


@pytest.mark.postgres
def test_what_is_under_way_before_or_after_counts():
    with another_connection() as other:
        other(write)
        before = Alone("default", (0, 0))
    assert not before.until((0, 0))


@pytest.fixture
def walks(monkeypatch, settings):
    """The walks along the heap that were begun."""
    settings.SESSION_CLEANUP_WALK = "heap"
    found = []
    begin = HeapWalk.__init__

    def note(self, heap, position=None):
        begin(self, heap, position)
        found.append(self)

    monkeypatch.setattr(HeapWalk, "__init__", note)
    return found


def test_alone_one_pass_is_enough(walks):
    SessionFactory.create_batch(20, expires_at=NOW - SECOND)

    report = runner.run(RunRequest(jobs=(JOB,)), now=NOW)

    assert report.jobs[0].changed == 20
    assert len(walks) == 1


def test_a_row_that_became_due_behind_us_is_found_by_a_second_pass(walks, monkeypatch):
    monkeypatch.setattr("session_cleanup.engine.drain.Size", lambda first: Size(1, 1))
    SessionFactory.create_batch(20, expires_at=NOW - SECOND)
    late = []

    def once(job, changed, share):
        if not late:
            late.append(job)
            with another_connection() as other:
                other(lambda: SessionFactory(expires_at=NOW - SECOND))

    report = runner.run(RunRequest(jobs=(JOB,)), now=NOW, observer=once)

    assert report.jobs[0].changed == 21
    assert not Session.objects.active().exists()
    assert len(walks) == 2


@pytest.mark.postgres
def test_a_slice_that_is_given_up_leaves_no_doubt(walks, transactional_db):
    sessions = SessionFactory.create_batch(20, expires_at=NOW - SECOND)
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE attempts")  # counts in transactions that are rolled back, too
        cursor.execute(
            "CREATE FUNCTION slow_at_first() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF nextval('attempts') = 1 THEN PERFORM pg_sleep(5); END IF; RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER slow BEFORE UPDATE ON session_cleanup_session FOR EACH ROW "
            f"WHEN (NEW.id = {sessions[5].pk}) EXECUTE FUNCTION slow_at_first()"
        )
    try:
        report = runner.run(RunRequest(jobs=(JOB,)), now=NOW)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION slow_at_first CASCADE; DROP SEQUENCE attempts")

    assert report.jobs[0].changed == 20
    assert len(walks) == 1
