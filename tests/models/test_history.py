"""Runs that died are shown as such, and holds hold what they name."""

import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from session_cleanup.models import CleanupRun, Hold, JobRun
from tests.factories import NOW, SECOND, SessionFactory
from tests.testapp.models import Book, Ticket

LEASE = timedelta(seconds=60)


def run_started(ago, **values):
    started = timezone.now() - ago
    return CleanupRun.objects.create(trigger="test", host="h", pid=1, started_at=started, **values)


def job_of(run, heartbeat_ago, **values):
    heartbeat = timezone.now() - heartbeat_ago
    return JobRun.objects.create(run=run, job="job", heartbeat_at=heartbeat, **values)


@pytest.mark.parametrize(
    ("heartbeat_ago", "state"), [(LEASE - 5 * SECOND, "running"), (LEASE + SECOND, "died")]
)
def test_a_job_run_has_died_as_soon_as_its_lease_is_over(db, heartbeat_ago, state):
    run = run_started(timedelta(hours=1))
    job = job_of(run, heartbeat_ago)

    assert (job.state, run.state) == (state, state)
    assert JobRun.objects.died().exists() is (state == "died")


def test_a_run_between_two_jobs_has_not_died_yet(db):
    assert run_started(SECOND).state == "running"
    assert run_started(LEASE + SECOND).state == "died"


def test_what_ended_has_not_died(db):
    run = run_started(timedelta(days=1), status="ok")

    assert job_of(run, timedelta(days=1), end_state="drained").state == "drained"
    assert run.state == "ok"
    assert not JobRun.objects.died().exists()


def test_the_length_of_the_lease_is_that_of_the_settings(db, settings):
    settings.SESSION_CLEANUP_LEASE_SECONDS = 3600

    assert job_of(run_started(LEASE), 2 * LEASE).state == "running"


def test_a_hold_ends_at_its_time(db):
    ending, lasting = SessionFactory.create_batch(2)
    hold = Hold.objects.place(ending, until=NOW)
    for_ever = Hold.objects.place(lasting, reason="court", created_by="ann")

    assert set(Hold.objects.active(NOW - SECOND)) == {hold, for_ever}
    assert set(Hold.objects.active(NOW)) == {for_ever}
    assert (for_ever.model, for_ever.reason) == ("session_cleanup.Session", "court")


def rows_of_each_kind_of_key():
    return [SessionFactory(), Book.objects.create(), Ticket.objects.create(code="A-1")]


def test_a_hold_finds_its_row_whatever_its_key(db):
    for row in rows_of_each_kind_of_key():
        model = type(row)
        condition = Hold.objects.on(model, NOW)
        assert not model._base_manager.filter(condition).exists()

        Hold.objects.place(row)

        assert list(model._base_manager.filter(condition)) == [row]


@pytest.mark.parametrize("spelling", [str, lambda key: key.hex, lambda key: str(key).upper()])
def test_a_hold_typed_by_hand_is_stored_as_the_database_writes_the_key(db, spelling):
    book = Book.objects.create()
    hold = Hold(model="testapp.book", object_pk=spelling(book.pk))

    hold.full_clean()
    hold.save()

    assert hold.model == "testapp.Book"
    assert list(Book.objects.filter(Hold.objects.on(Book, NOW))) == [book]


@pytest.mark.parametrize(
    ("model", "key", "field"),
    [
        ("testapp.Nothing", "1", "model"),
        ("Book", "1", "model"),
        ("testapp.Book", "1", "object_pk"),
        ("session_cleanup.Session", str(uuid.UUID(int=1)), "object_pk"),
    ],
)
def test_a_hold_that_would_hold_nothing_is_refused(db, model, key, field):
    with pytest.raises(ValidationError) as refused:
        Hold(model=model, object_pk=key).full_clean()

    assert list(refused.value.message_dict) == [field]
