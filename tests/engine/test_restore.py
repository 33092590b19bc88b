"""What a run took away comes back as it was."""

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Q
from django.db.models.signals import post_delete

from session_cleanup.engine.restore_report import RestoreRequest
from session_cleanup.engine.restores import restore
from session_cleanup.engine.restoring import Restoring
from session_cleanup.models import UndoRecord
from session_cleanup.policies import Aged, Deactivate, Delete, Policy
from tests.factories import NOW, SECOND, MemberFactory, SessionFactory
from tests.testapp.models import Author, Book, Bookmark, Chapter, Comment, Footnote, Tag, Truck, Vehicle
from tests.testapp.shapes import Hall, Locker

MONTH = timedelta(days=30)
OURS = (
    "session_cleanup_cleanup",
    "session_cleanup_jobrun",
    "session_cleanup_hold",
    "session_cleanup_undo",
    "session_cleanup_archive",
    "django_",
    "session_cleanup_claim",
)


def everything():
    """Every row of every table but our book-keeping, as text."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table.startswith(OURS):
                continue
            name = connection.ops.quote_name(table)
            if connection.vendor == "postgresql":
                cursor.execute(f"SELECT {name}::text FROM {name}")
            else:
                columns = connection.introspection.get_table_description(cursor, table)
                quoted = ", ".join(f"quote({connection.ops.quote_name(each.name)})" for each in columns)
                cursor.execute(f"SELECT {quoted} FROM {name}")
            found[table] = sorted(map(str, cursor.fetchall()))
    return found


def job(**options):
    return Policy(
        **{
            "name": "old-books",
            "model": "testapp.Book",
            "select": Aged("read_at"),
            "action": Delete(),
            "undo": MONTH,
            **options,
        }
    )


def take_back(run, **options):
    return restore(RestoreRequest(run=run, **options), now=NOW)


@pytest.mark.django_db
def test_rows_and_all_that_went_with_them(run, declare):
    declare(job())
    author = Author.objects.create()
    book = Book.objects.create(author=author, title='a "title" \\ \n', read_at=NOW - SECOND)
    book.tags.add(Tag.objects.create())
    Footnote.objects.create(chapter=Chapter.objects.create(book=book))
    Bookmark.objects.create(book=book)
    kept = Book.objects.create(author=author)
    Bookmark.objects.create(book=kept)
    before = everything()

    report = run("old-books")
    assert report.jobs[0].changed == 1
    assert everything() != before
    done = take_back(report.run)

    assert everything() == before
    assert done.exit_status == 0, done
    assert done.jobs[0].restored["testapp.Book"] == 1
    assert not UndoRecord.objects.exists()


@pytest.mark.django_db
def test_updates(run, declare):
    declare(
        Policy(
            name="off",
            model="session_cleanup.Session",
            where=Q(is_active=True),
            select=Aged("expires_at"),
            action=Deactivate(related={"members": {"is_online": False}}),
            undo=MONTH,
        )
    )
    MemberFactory.create_batch(3, session=SessionFactory(expires_at=NOW - SECOND))
    before = everything()
    report = run("off")
    assert report.jobs[0].related == {"session_cleanup.SessionMember": 3}
    done = take_back(report.run)
    assert everything() == before
    assert done.jobs[0].restored == {"session_cleanup.Session": 1, "session_cleanup.SessionMember": 3}
    assert run("off").jobs[0].changed == 0


@pytest.mark.django_db
def test_a_database_that_is_slower_than_any_batch_may_be(run, declare, settings, monkeypatch):
    """Batches became smaller and smaller until they had no row, and the rest was left behind unsaid."""
    declare(job())
    author = Author.objects.create()
    Book.objects.bulk_create(Book(author=author, read_at=NOW - SECOND) for _ in range(30))
    taken = run("old-books").run
    settings.SESSION_CLEANUP_BATCH_MS = 1
    monkeypatch.setattr("session_cleanup.engine.restoring.SQLITE_BATCH_MS", 1)
    monkeypatch.setattr("session_cleanup.engine.restoring.FIRST_ROWS", 8)
    monkeypatch.setattr(Restoring, "_settle", slowly(Restoring._settle))

    done = take_back(taken)

    assert done.jobs[0].restored["testapp.Book"] == Book.objects.count() == 30
    assert not UndoRecord.objects.exists()


def slowly(method):
    def slow(self, rows):
        time.sleep(0.01 * len(rows))
        return method(self, rows)

    return slow


@pytest.mark.django_db
def test_trees(run, declare):
    declare(Policy(name="c", model="testapp.Comment", select=Aged("made_at"), action=Delete(), undo=MONTH))
    root = Comment.objects.create(made_at=NOW - SECOND)
    at = root
    for _ in range(5):
        at = Comment.objects.create(parent=at)
    root.parent = at
    root.save()
    before = everything()
    report = run("c")
    assert not Comment.objects.exists()
    done = take_back(report.run)
    assert everything() == before, done


@pytest.mark.django_db
def test_inherited(run, declare):
    declare(Policy(name="v", model="testapp.Vehicle", select=Aged("made_at"), action=Delete(), undo=MONTH))
    Truck.objects.create(made_at=NOW - SECOND, load=4)
    Vehicle.objects.create(made_at=NOW - SECOND)
    before = everything()
    report = run("v")
    assert not Vehicle.objects.exists()
    done = take_back(report.run)
    assert everything() == before, done


@pytest.mark.django_db
@pytest.mark.parametrize("receivers", [False, True])
def test_what_the_database_deletes_by_itself_comes_back(run, declare, receivers):
    """Since Django 6.1; with older Djangos the same rows by Django's own."""

    def receiver(**kwargs):
        pass

    declare(Policy(name="halls", model="testapp.Hall", select=Aged("left_at"), action=Delete(), undo=MONTH))
    Locker.objects.create(hall=Hall.objects.create(left_at=NOW - SECOND))
    Locker.objects.create()
    before = everything()
    if receivers:
        post_delete.connect(receiver, sender=Hall)
    try:
        report = run("halls")
    finally:
        post_delete.disconnect(receiver, sender=Hall)

    assert report.jobs[0].related == {"testapp.Locker": 1}
    take_back(report.run)
    assert everything() == before
