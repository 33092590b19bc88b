"""How much a run does at a time, and in all."""

import pytest

from session_cleanup.engine import pacing, runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import JobRun, Session
from session_cleanup.policies import Aged, Delete, Orphaned, Policy
from tests.factories import DAY, NOW, SECOND, SessionFactory
from tests.testapp.models import Book, Car, Ticket

JOB = "collaborative-expired"


@pytest.mark.parametrize(
    ("rows", "limit", "changed", "end"),
    [
        (5, 3, 3, "capped"),
        (3, 3, 3, "drained"),
        (2, 3, 2, "drained"),
        (0, 1, 0, "drained"),
    ],
)
def test_max_rows_is_exact_and_says_whether_work_remains(run, rows, limit, changed, end):
    SessionFactory.create_batch(rows, expires_at=NOW - SECOND)

    job = run(JOB, max_rows=limit, batch_size=2).jobs[0]

    assert (job.changed, job.end_state) == (changed, end)
    assert Session.objects.inactive().count() == changed


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_every_size_of_batch_does_the_same(run, size):
    SessionFactory.create_batch(4, expires_at=NOW - SECOND)
    kept = SessionFactory(expires_at=NOW)

    job = run(JOB, batch_size=size).jobs[0]

    assert job.changed == 4
    assert job.batches >= -(-4 // size)  # more of them where the machine is slow
    assert list(Session.objects.active()) == [kept]


def test_rows_of_one_moment_are_all_walked(run):
    """The position is (clock, key): rows of one clock on both sides of a batch's end are not lost."""
    SessionFactory.create_batch(7, expires_at=NOW - DAY)

    assert run(JOB, batch_size=3).jobs[0].changed == 7


def test_time_over_before_the_first_batch_changes_nothing(run, monkeypatch):
    SessionFactory(expires_at=NOW - SECOND)
    monkeypatch.setattr(pacing.time, "monotonic", iter(range(0, 10_000, 100)).__next__)

    report = run(JOB, max_seconds=1)

    assert report.jobs[0].end_state == "timed_out"
    assert (report.status, report.exit_status) == ("incomplete", 3)
    assert Session.objects.active().count() == 1


def test_a_stop_between_two_batches_keeps_what_is_done(db):
    SessionFactory.create_batch(4, expires_at=NOW - SECOND)
    asked = iter([False] * 4 + [True] * 100)

    report = runner.run(RunRequest(jobs=(JOB,), batch_size=1), now=NOW, stopped=lambda: next(asked))

    assert report.jobs[0].end_state == "stopped"
    assert 0 < report.jobs[0].changed < 4
    assert report.jobs[0].changed == Session.objects.inactive().count() == JobRun.objects.get().changed
    assert report.exit_status == 5


def test_the_position_of_the_last_batch_is_written_down(run, settings):
    settings.SESSION_CLEANUP_WALK = "keyset"
    rows = SessionFactory.create_batch(3, expires_at=NOW - SECOND)

    run(JOB, batch_size=2)

    clock, key = JobRun.objects.get().cursor["at"]
    assert (clock.removesuffix("+00"), key) == ("2026-01-04 05:59:59.123456", rows[-1].pk)


def test_an_observer_hears_of_every_batch(db, settings):
    settings.SESSION_CLEANUP_WALK = "keyset"
    SessionFactory.create_batch(5, expires_at=NOW - SECOND)
    heard = []

    runner.run(RunRequest(jobs=(JOB,), batch_size=1), now=NOW, observer=lambda *said: heard.append(said))

    assert heard == [(JOB, changed, None) for changed in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize("window", [2, 3, 5, 100])
def test_orphans_are_found_in_every_window(run, declare, monkeypatch, window):
    monkeypatch.setattr("session_cleanup.engine.walks.WINDOW", window)
    Car.objects.bulk_create(Car(vehicle_number=number) for number in (1, None, 2, 3, 3, None, 4))
    declare(
        Policy(
            name="lost-cars",
            model="testapp.Car",
            select=Orphaned("vehicle_number", model="testapp.Vehicle"),
            action=Delete(),
        )
    )

    assert run("lost-cars", batch_size=2).jobs[0].changed == 5
    assert [car.vehicle_number for car in Car.objects.all()] == [None, None]


def test_max_rows_stops_inside_a_window(run, declare):
    Car.objects.bulk_create(Car(vehicle_number=number) for number in range(5))
    lost = Policy(
        name="lost-cars",
        model="testapp.Car",
        select=Orphaned("vehicle_number", model="testapp.Vehicle"),
        action=Delete(),
    )
    declare(lost)

    assert run("lost-cars", batch_size=2, max_rows=3).jobs[0].end_state == "capped"
    assert Car.objects.count() == 2


@pytest.mark.parametrize("size", [1, 2, 50])
def test_uuid_and_text_keys_are_walked_in_the_databases_own_order(run, declare, size):
    Book.objects.bulk_create(Book(read_at=NOW - DAY) for _ in range(7))
    codes = ["a", "B", "ä", "_", "Z", "10", "9", "é"]
    Ticket.everything.bulk_create(Ticket(code=code, day=(NOW - DAY).date(), is_hidden=True) for code in codes)
    declare(
        Policy(name="books", model="testapp.Book", select=Aged("read_at"), action=Delete()),
        Policy(name="tickets", model="testapp.Ticket", select=Aged("day"), action=Delete()),
    )

    report = run("books", "tickets", batch_size=size)

    assert [job.changed for job in report.jobs] == [7, 8]
