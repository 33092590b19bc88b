"""What is in the way of a row leaves it alone, is named, and the others come back."""

import pytest
from django.db import connection
from django.db.models import F, Q

from session_cleanup.engine.restore_report import RestoreRequest
from session_cleanup.engine.restores import restore
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import CleanupLease, CleanupRun, Hold, JobRun, Session, UndoRecord
from session_cleanup.policies import Aged, Close, Delete, Policy
from tests.engine.test_restore import MONTH, everything, job, take_back
from tests.factories import DAY, NOW, SECOND, AfterHoursFactory, UserFactory
from tests.testapp.models import Author, Book, Bookmark, Chapter, Comment

pytestmark = pytest.mark.django_db


def books(count, **values):
    return [Book.objects.create(read_at=NOW - SECOND, **values) for _ in range(count)]


def alone(report):
    [done] = report.jobs
    return {(row.model, row.pk, row.reason) for row in done.rows}


def test_a_key_that_exists_again(run, declare):
    declare(job())
    first, second, third = books(3, title="old")
    report = run("old-books")
    Book.objects.create(pk=second.pk, title="new")

    done = take_back(report.run)

    assert done.exit_status == 3
    assert alone(done) == {("testapp.Book", str_key(second), "key_exists")}
    assert Book.objects.get(pk=second.pk).title == "new"
    assert set(Book.objects.values_list("pk", flat=True)) == {first.pk, second.pk, third.pk}


def str_key(row):
    return row.pk.hex if connection.vendor == "sqlite" else str(row.pk)


def test_a_row_whose_key_exists_again_keeps_its_children_away_from_the_new_one(run, declare):
    declare(job())
    [book] = books(1)
    Chapter.objects.create(book=book)
    report = run("old-books")
    Book.objects.create(pk=book.pk, title="new")

    done = take_back(report.run)

    assert not Chapter.objects.exists()
    assert done.jobs[0].left_alone == {"key_exists": 1, "parent_gone": 1}


def test_a_unique_value_that_somebody_else_has_by_now(run, declare):
    declare(
        Policy(
            name="ended",
            model="session_cleanup.Session",
            select=Aged("expires_at"),
            action=Delete(),
            undo=MONTH,
        )
    )
    owner = UserFactory()
    AfterHoursFactory(owner=owner, expires_at=NOW - SECOND)
    other = AfterHoursFactory(owner=UserFactory(), expires_at=NOW - SECOND)
    report = run("ended")
    new = AfterHoursFactory(owner=owner)

    done = take_back(report.run)

    assert done.jobs[0].left_alone == {"unique": 1}
    assert set(Session.objects.all()) == {other, new}


def test_a_parent_that_is_gone(run, declare):
    declare(job())
    author, other = Author.objects.create(), Author.objects.create()
    [lost], [book] = books(1, author=author), books(1, author=other)
    Chapter.objects.create(book=lost)
    report = run("old-books")
    author.delete()

    done = take_back(report.run)

    assert done.jobs[0].left_alone == {"parent_gone": 2}
    assert set(Book.objects.all()) == {book}
    Author.objects.create(pk=lost.author_id)
    assert take_back(report.run).exit_status == 0  # later it goes on
    assert Chapter.objects.get().book == lost


def test_a_row_that_has_changed_since(run, declare):
    declare(
        Policy(
            name="close",
            model="testapp.Book",
            where=Q(closed_at__isnull=True),
            select=Aged("read_at"),
            action=Close(closed_at=F("read_at"), title="closed"),
            undo=MONTH,
        )
    )
    same, changed, gone, undone = books(4, title="open")
    report = run("close")
    Book.objects.filter(pk=changed.pk).update(closed_at=NOW)
    Book.objects.filter(pk=undone.pk).update(closed_at=None, title="open")
    gone.delete()

    done = take_back(report.run)

    assert done.jobs[0].left_alone == {"changed": 1, "gone": 1}
    same.refresh_from_db()
    assert (same.closed_at, same.title) == (None, "open")
    changed.refresh_from_db()
    assert (changed.closed_at, changed.title) == (NOW, "closed")


def test_a_reference_that_was_given_to_another_row_since(run, declare):
    declare(job())
    [book] = books(1)
    first, second = Bookmark.objects.create(book=book), Bookmark.objects.create(book=book)
    other = Book.objects.create()
    report = run("old-books")
    second.book = other
    second.save()

    done = take_back(report.run)

    assert done.jobs[0].left_alone == {"changed": 1}
    assert done.jobs[0].restored == {"testapp.Book": 1, "testapp.Bookmark.book_id": 1}
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.book, second.book) == (book, other)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ("ALTER TABLE testapp_chapter DROP COLUMN is_open", "the column is_open no longer exists"),
        (
            "ALTER TABLE testapp_chapter ADD COLUMN pages integer NOT NULL DEFAULT 1",
            None,
        ),
        (
            "ALTER TABLE testapp_chapter ADD COLUMN pages integer NOT NULL DEFAULT 1;"
            "ALTER TABLE testapp_chapter ALTER COLUMN pages DROP DEFAULT",
            "the column pages must have a value now, and has no default",
        ),
    ],
)
def test_a_table_that_has_changed(run, declare, change, detail):
    if connection.vendor == "sqlite" and ";" in change:
        pytest.skip("SQLite has no way to drop a default")
    declare(job())
    [book] = books(1)
    Chapter.objects.create(book=book)
    report = run("old-books")
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT before_the_change") if connection.vendor == "sqlite" else None
        cursor.execute(change)

    done = take_back(report.run)

    assert Book.objects.filter(pk=book.pk).exists()
    assert done.jobs[0].left_alone == ({"no_place": 1} if detail else {})
    assert [row.detail for row in done.jobs[0].rows] == ([detail] if detail else [])


def test_a_value_that_the_table_refuses_now_is_not_shown(run, declare):
    declare(job())
    books(3, title="kept")
    books(1, title="marker-4711")
    report = run("old-books")
    if connection.vendor == "sqlite":
        pytest.skip("SQLite adds no constraint to a table that exists")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE testapp_book ADD CONSTRAINT no_marker CHECK (title NOT LIKE 'marker%')")

    done = take_back(report.run)

    assert done.jobs[0].left_alone == {"refused": 1}
    assert [row.detail for row in done.jobs[0].rows] == ["no_marker"]
    assert Book.objects.count() == 3
    assert "marker-4711" not in repr(done)


# Once, in part, again


def test_a_second_restore_finds_nothing_left(run, declare):
    declare(job())
    books(2)
    report = run("old-books")
    take_back(report.run)
    before = everything()

    with pytest.raises(ConfigurationError, match=r"Nothing is left .* restored already \(2 rows\)"):
        take_back(report.run)
    assert everything() == before


def test_single_rows_with_what_hung_on_them(run, declare):
    declare(job())
    first, second = books(2)
    for book in (first, second):
        Chapter.objects.create(book=book)
        Bookmark.objects.create(book=book)
    report = run("old-books")

    done = take_back(report.run, job="old-books", pks=(str(second.pk),))

    assert set(Book.objects.all()) == {second}
    assert Chapter.objects.get().book == second
    assert Bookmark.objects.filter(book=second).count() == 1
    assert done.exit_status == 0
    assert UndoRecord.objects.count() == 3
    take_back(report.run)
    assert Bookmark.objects.filter(book=first).count() == 1


def test_a_dry_run_tells_and_writes_nothing(run, declare):
    declare(job())
    first, _, third = books(3)
    Chapter.objects.create(book=first)
    Bookmark.objects.create(book=first)
    report = run("old-books")
    Book.objects.create(pk=third.pk)
    before, records = everything(), UndoRecord.objects.count()

    done = take_back(report.run, dry_run=True)

    assert (everything(), UndoRecord.objects.count()) == (before, records)
    assert done.run is None
    assert CleanupRun.objects.count() == 1
    assert done.jobs[0].restored == {"testapp.Book": 2, "testapp.Chapter": 1, "testapp.Bookmark.book_id": 1}
    assert done.jobs[0].left_alone == {"key_exists": 1}


def test_restored_rows_are_held_and_the_history_knows(run, declare, settings):
    declare(job())
    books(1)
    report = run("old-books")

    done = take_back(report.run)

    assert Hold.objects.get().until == NOW + 30 * DAY
    assert run("old-books").jobs[0].changed == 0
    assert run("old-books", now=NOW + 31 * DAY).jobs[0].changed == 1
    record = JobRun.objects.get(run_id=done.run)
    assert (record.action, record.changed, record.end_state) == ("restore", 1, "drained")
    assert record.cursor == {"run": report.run, "job": "old-books"}


def test_it_works_while_cleanup_is_disabled(run, declare, settings):
    declare(job())
    books(1)
    report = run("old-books")
    settings.SESSION_CLEANUP_ENABLED = False

    assert take_back(report.run).exit_status == 0
    assert Book.objects.count() == 1


def test_a_job_that_is_being_run_is_not_restored(run, declare):
    declare(job())
    books(1)
    report = run("old-books")
    CleanupLease.objects.update(expires_at=NOW + 10_000 * DAY)

    done = take_back(report.run)

    assert done.exit_status == 4
    assert "is being run by" in done.jobs[0].error
    assert not Book.objects.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"run": 10**9}, "There is no run 1000000000"),
        ({"run": 0}, "RUN is 0"),
        ({"pks": ("no-key",)}, "--pk is 'no-key', which is no primary key of testapp.Book"),
        ({"job": "old-carts"}, "kept nothing of a job 'old-carts'. It kept something of old-books"),
    ],
)
def test_what_cannot_be_meant_is_refused(run, declare, options, said):
    declare(job())
    books(1)
    report = run("old-books")

    with pytest.raises(ConfigurationError, match=said):
        take_back(**{"run": report.run, **options})


def test_a_run_without_undo_and_a_run_whose_records_expired(run, declare):
    declare(job(undo=None), job(name="others", undo=DAY))
    books(1)
    report = run("old-books")
    with pytest.raises(ConfigurationError, match="kept nothing to restore"):
        take_back(report.run)
    books(1)
    report = run("others")
    with pytest.raises(ConfigurationError, match="expired at 2026-01-05"):
        restore(RestoreRequest(run=report.run), now=NOW + 2 * DAY)


def test_housekeeping_purges_what_expired(run, declare):
    chapters = {"model": "testapp.Chapter", "select": Aged("book__read_at")}
    declare(job(name="others", undo=2 * DAY, **chapters), job(undo=DAY))
    Chapter.objects.create(book=books(1)[0])
    run("others", "old-books")
    assert UndoRecord.objects.count() == 2

    assert run("housekeeping-undo", now=NOW + DAY).jobs[0].changed == 0
    assert run("housekeeping-undo", now=NOW + DAY + SECOND).jobs[0].changed == 1
    assert UndoRecord.objects.count() == 1


def test_sequences_never_give_out_a_restored_key(run, declare):
    declare(Policy(name="c", model="testapp.Comment", select=Aged("made_at"), action=Delete(), undo=MONTH))
    Comment.objects.create(pk=5000, made_at=NOW - SECOND)
    report = run("c")

    take_back(report.run)

    assert Comment.objects.create().pk > 5000


@pytest.mark.postgres
def test_sequences_never_move_back(run, declare):
    declare(Policy(name="c", model="testapp.Comment", select=Aged("made_at"), action=Delete(), undo=MONTH))
    Comment.objects.create(made_at=NOW - SECOND)
    report = run("c")
    last = Comment.objects.create()

    take_back(report.run)

    assert Comment.objects.create().pk == last.pk + 1
