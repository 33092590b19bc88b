"""Which rows are due: the boundary, NULL, dates, other keys, and projects without time zones."""

from datetime import date, datetime, timedelta

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Exists, F, OuterRef, Q

from session_cleanup.engine.footprint import reads_one_table
from session_cleanup.exceptions import PolicyError
from session_cleanup.policies import Aged, Delete, Orphaned, Policy
from session_cleanup.policies.claims import AmongKeys, Claims
from tests.factories import DAY, NOW, SECOND, FingerprintFactory
from tests.testapp.models import Author, Book, Bookmark, Car, Ticket, Vehicle

MICROSECOND = timedelta(microseconds=1)


def due(model, select, *, now=NOW, **values):
    policy = Policy(name="job", model=f"testapp.{model}", select=select, action=Delete(), **values)
    return set(policy.matching(Claims("default", now)))


def books(*moments):
    return [Book.objects.create(read_at=moment) for moment in moments]


@pytest.mark.parametrize("older_than", [timedelta(0), timedelta(hours=1), 90 * DAY])
def test_aged_is_due_before_the_cutoff_and_not_at_it(db, older_than):
    cutoff = NOW - older_than
    early, *_ = books(cutoff - MICROSECOND, cutoff, cutoff + SECOND, None)

    assert due("Book", Aged("read_at", older_than)) == {early}


def test_a_null_clock_is_never_due(db):
    books(None, None)

    assert due("Book", Aged("read_at")) == set()


def test_a_date_is_due_when_the_whole_day_lies_before_that_of_the_cutoff(db):
    for day in range(1, 6):
        Ticket.objects.create(code=f"A-{day}", day=date(2026, 1, day))
    Ticket.objects.create(code="never", day=None)

    assert {ticket.code for ticket in due("Ticket", Aged("day", DAY))} == {"A-1", "A-2"}


def test_a_manager_that_hides_rows_does_not_hide_them_from_a_policy(db):
    hidden = Ticket.everything.create(code="h", day=date(2020, 1, 1), is_hidden=True)

    assert due("Ticket", Aged("day")) == {hidden}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_project_without_time_zones_stores_local_times(db, settings, zone):
    settings.USE_TZ = False
    settings.TIME_ZONE = zone
    local = {"UTC": 6, "Asia/Tokyo": 15, "America/New_York": 1}[zone]
    now = datetime(2026, 1, 4, local, 0, 0, 123456)
    early, *_ = books(now - DAY - SECOND, now - DAY, now - DAY + SECOND)

    assert due("Book", Aged("read_at", DAY)) == {early}


def test_an_age_that_reaches_back_before_all_time_is_refused(db):
    with pytest.raises(PolicyError, match=r"reaches back before the year 1\. Give a shorter"):
        due("Book", Aged("read_at", timedelta(days=365 * 3000)))


@pytest.mark.parametrize("age", [-SECOND, -MICROSECOND, timedelta.min])
def test_a_negative_age_is_refused(age):
    with pytest.raises(PolicyError, match=r"due before they exist\. Give zero or a positive"):
        Aged("read_at", age)


@pytest.mark.parametrize("age", [7, 7.0, "7 days", None, True])
def test_an_age_that_is_no_timedelta_is_refused(age):
    with pytest.raises(PolicyError, match=r"Aged\('read_at'\): older_than is .* Give a timedelta"):
        Aged("read_at", age)


def test_a_condition_across_a_relation_gives_each_row_once(db):
    [book] = books(NOW - DAY)
    for _ in range(3):
        book.chapters.create()

    policy = Policy(
        name="job",
        model="testapp.Book",
        where=Q(chapters__is_open=True),
        select=Aged("read_at"),
        action=Delete(),
    )
    assert list(policy.matching(Claims("default", NOW))) == [book]


def test_orphaned_by_a_plain_number(db):
    there = Vehicle.objects.create()
    Car.objects.create(vehicle_number=there.pk)
    Car.objects.create(vehicle_number=None)
    orphan = Car.objects.create(vehicle_number=there.pk + 1)

    assert due("Car", Orphaned("vehicle_number", model="testapp.Vehicle")) == {orphan}


def test_orphaned_by_a_loose_foreign_key(db):
    gone, _ = FingerprintFactory.create_batch(2)
    gone.session.delete()

    policy = Policy(
        name="job",
        model="session_cleanup.DeviceFingerprint",
        select=Orphaned("session"),
        action=Delete(),
    )
    assert list(policy.matching(Claims("default", NOW))) == [gone]


def test_orphaned_never_asks_with_not_in(db):
    select = Orphaned("vehicle_number", model="testapp.Vehicle")
    policy = Policy(name="job", model="testapp.Car", select=select, action=Delete())

    sql = str(policy.matching(Claims("default", NOW)).query)

    assert "NOT EXISTS" in sql.replace("NOT (EXISTS", "NOT EXISTS")
    assert " IN (" not in sql


def test_orphaned_by_a_column_needs_to_be_told_the_model(db):
    with pytest.raises(PolicyError, match=r"Say which model it refers to: Orphaned\("):
        due("Car", Orphaned("vehicle_number"))


def bookmarks(*moments):
    return [book.bookmarks.create() for book in books(*moments)]


def test_a_clock_behind_a_foreign_key(db):
    early, *_ = bookmarks(NOW - DAY - MICROSECOND, NOW - DAY, None)
    Bookmark.objects.create(book=None)

    assert due("Bookmark", Aged("book__read_at", DAY)) == {early}


def test_a_clock_behind_a_foreign_key_is_what_a_listing_shows(declare, preview):
    [bookmark] = bookmarks(NOW - DAY)
    select = Aged("book__read_at")
    declare(Policy(name="job", model="testapp.Bookmark", select=select, action=Delete()))

    [job] = preview("job", list_rows=10).jobs

    assert [(row.key, row.clock) for row in job.rows] == [(bookmark.pk, NOW - DAY)]
    assert job.clock == "book__read_at"


def test_a_clock_that_an_earlier_job_deletes_is_not_there(db):
    [bookmark] = bookmarks(NOW - DAY)
    claims = Claims("default", NOW)
    claims.delete(Book, AmongKeys(F("pk"), [bookmark.book_id]))
    policy = Policy(name="job", model="testapp.Bookmark", select=Aged("book__read_at"), action=Delete())

    assert not policy.matching(claims).exists()


@pytest.mark.parametrize("clock", ["chapters__is_open", "title__x", "author__books__read_at", "author__no"])
def test_a_clock_that_is_nowhere_is_refused(db, clock):
    with pytest.raises((PolicyError, FieldDoesNotExist)):
        due("Book", Aged(clock))


def test_a_row_is_kept_while_any_row_refers_to_it(db):
    free, held = (Author.objects.create(seen_at=NOW - DAY) for _ in range(2))
    Author.objects.create(seen_at=NOW)
    book = Book.objects.create(author=held)
    Book.objects.create(author=None)
    policy = Policy(
        name="job", model="testapp.Author", select=Aged("seen_at", unreferenced_by="books"), action=Delete()
    )
    claims = Claims("default", NOW)
    assert set(policy.matching(claims)) == {free}

    claims.delete(Book, AmongKeys(F("pk"), [book.pk]))

    assert set(policy.matching(claims)) == {free, held}


@pytest.mark.parametrize(
    ("model", "select", "alone"),
    [
        ("Author", Aged("seen_at"), True),
        ("Author", Aged("seen_at", unreferenced_by="books"), False),
        ("Bookmark", Aged("book__read_at"), False),
        ("Car", Orphaned("vehicle_number", model="testapp.Vehicle"), False),
    ],
)
def test_rows_are_locked_before_they_are_judged_where_other_rows_decide(model, select, alone):
    policy = Policy(name="job", model=f"testapp.{model}", select=select, action=Delete())

    assert reads_one_table(policy, Claims("default", NOW)) == alone


def test_only_aged_has_a_cutoff():
    assert Aged("read_at", DAY).cutoff(NOW) == NOW - DAY
    assert Orphaned("session").cutoff(NOW) is None


def test_what_an_earlier_job_changed_or_deletes_is_not_due(db):
    changed, deleted, left = books(*[NOW - DAY] * 3)
    claims = Claims("default", NOW)
    policy = Policy(name="job", model="testapp.Book", select=Aged("read_at"), action=Delete())
    claims.delete(Book, Exists(Book.objects.filter(pk=deleted.pk).filter(pk=OuterRef("pk"))))
    claims.change(Book, AmongKeys(F("pk"), [changed.pk]))

    assert list(policy.matching(claims)) == [left]


def test_a_row_that_an_earlier_job_deletes_does_not_exist_for_orphans(db):
    vehicle = Vehicle.objects.create()
    car = Car.objects.create(vehicle_number=vehicle.pk)
    select = Orphaned("vehicle_number", model="testapp.Vehicle")
    policy = Policy(name="job", model="testapp.Car", select=select, action=Delete())
    claims = Claims("default", NOW)
    assert not policy.matching(claims).exists()

    claims.delete(Vehicle, AmongKeys(F("pk"), [vehicle.pk]))

    assert list(policy.matching(claims)) == [car]
