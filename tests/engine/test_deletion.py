"""Deletes in a few statements a batch: when, how many, what is left out, and what others do meanwhile."""

import threading
import time
from contextlib import contextmanager, suppress

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import F
from django.db.models.signals import post_delete
from django.test.utils import CaptureQueriesContext

from session_cleanup.engine import runner
from session_cleanup.engine.connections import batch_transaction
from session_cleanup.engine.deletion import Deletion
from session_cleanup.engine.report import RunRequest
from session_cleanup.policies import Aged, Delete, Policy
from session_cleanup.policies.actions import Effect
from session_cleanup.policies.claims import AmongKeys, Claims
from tests.engine.test_concurrency import lock
from tests.factories import DAY, NOW
from tests.testapp.models import (
    Album,
    Artist,
    Author,
    Book,
    Bookmark,
    Car,
    Chapter,
    Comment,
    Footnote,
    Loan,
    Song,
    Ticket,
    Truck,
    Vehicle,
)
from tests.testapp.shapes import Booking, Branch, Desk, Hall, House, Locker, Order, Owner, Photo, Room, Suite

OLD = NOW - DAY
LONG = 5_000  # ms that a lock is waited for
CHAIN = 1200  # deeper than Django's collector can go


def deletion(model):
    return Deletion(model, Claims("default", NOW))


@contextmanager
def meanwhile(action):
    """Another connection has done this and commits soon after it is told to; yields how to tell it."""
    done, told = threading.Event(), threading.Event()

    def live():
        with suppress(IntegrityError), transaction.atomic():
            action()
            done.set()
            told.wait(10)
            time.sleep(0.3)
        connections.close_all()

    thread = threading.Thread(target=live)
    thread.start()
    assert done.wait(10)
    try:
        yield told.set
    finally:
        told.set()
        thread.join()


@contextmanager
def batch(keys, lock_ms=50):
    """The transaction of a batch, with the rows locked."""
    with batch_transaction("default", lock_ms=lock_ms, statement_ms=20_000):
        model = type(keys[0])
        list(model._base_manager.select_for_update().filter(pk__in=[row.pk for row in keys]))
        yield [row.pk for row in keys]


def delete(*rows, lock_ms=50):
    with batch(rows, lock_ms) as keys:
        return deletion(type(rows[0])).delete(keys)


# Which way


@pytest.mark.parametrize("model", [Car, Ticket, Comment, Vehicle, Truck, House, Photo, Booking])
def test_alone_means_that_no_other_table_and_no_code_is_touched(model):
    assert deletion(model).alone is (model in (Car, Ticket, Booking))


@pytest.mark.parametrize(
    ("model", "fast"),
    [
        *[(model, True) for model in (Author, Artist, Comment, House, Room, Suite, Order, Hall, Car)],
        *[(model, False) for model in (Photo, Owner, Vehicle, Truck)],
    ],
)
def test_django_does_what_is_tied_otherwise_than_by_a_foreign_key(model, fast):
    assert deletion(model).fast is fast


def test_django_does_what_the_project_listens_to():
    def receiver(**kwargs):
        pass

    assert deletion(Book).fast
    post_delete.connect(receiver, sender=Footnote)
    try:
        assert not deletion(Book).fast
        assert not deletion(Footnote).alone
    finally:
        post_delete.disconnect(receiver, sender=Footnote)
    assert deletion(Book).fast


# How many statements


def test_twenty_thousand_parents_take_as_few_statements_as_one(db):
    counts = []
    for more in ([], range(10**9, 10**9 + 20_000)):
        (author,) = authors(1)
        with CaptureQueriesContext(connection) as queries:
            done = deletion(Author).delete([author.pk, *more])
        assert done.effect == Effect(1, {"testapp.Book": 2, "testapp.Chapter": 4})
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 13


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_children_are_found_by_their_index_without_statistics():
    """The planner takes many foreign keys for the whole table, and would read it all in each batch."""
    room = Room.objects.create()
    Desk.objects.bulk_create(Desk(room=room) for _ in range(5000))
    desks = Desk.objects.filter(AmongKeys(F("room"), list(range(10**9, 10**9 + 5000))))
    assert "Seq Scan" in desks.explain()

    with batch_transaction("default", lock_ms=LONG, statement_ms=LONG):
        assert "Seq Scan" not in desks.explain()


@pytest.mark.slow
def test_a_chain_of_any_depth(db):
    root = Branch.objects.create()
    Branch.objects.bulk_create(Branch() for _ in range(CHAIN - 1))
    Branch.objects.exclude(pk=root.pk).update(parent_id=F("pk") - 1)
    kept = Branch.objects.create()

    done = deletion(Branch).delete([root.pk])

    assert done.effect == Effect(CHAIN)
    assert list(Branch.objects.all()) == [kept]


# What Django refuses


def authors(count):
    """Each with two books of two chapters."""
    found = [Author.objects.create() for _ in range(count)]
    for author in found:
        for _ in range(2):
            book = Book.objects.create(author=author)
            Chapter.objects.bulk_create(Chapter(book=book) for _ in range(2))
    return found


def test_only_the_row_that_is_protected_far_below_stays(db):
    protected, *free = authors(3)
    Loan.objects.create(book=protected.books.last())

    done = deletion(Author).delete([protected.pk, *(author.pk for author in free)])

    assert done.effect == Effect(2, {"testapp.Book": 4, "testapp.Chapter": 8})
    assert (done.skipped, done.left_out) == ({"protected": 1}, [])
    assert list(Author.objects.all()) == [protected]
    assert Chapter.objects.count() == 4


def test_rows_that_restrict_each_other_go_together_and_not_alone(db):
    first, second = Artist.objects.create(), Artist.objects.create()
    for artist, other in ((first, second), (second, first)):
        Song.objects.create(artist=artist, album=Album.objects.create(artist=other))

    assert deletion(Artist).delete([first.pk]).skipped == {"protected": 1}
    done = deletion(Artist).delete([first.pk, second.pk])

    assert done.effect == Effect(2, {"testapp.Album": 2, "testapp.Song": 2})
    assert not Artist.objects.exists()


def test_a_row_stays_when_what_restricts_it_is_kept_by_another(db):
    """The third goes with nothing; the second needs the first, which is restricted from outside."""
    first, second, third, outside = (Artist.objects.create() for _ in range(4))
    Song.objects.create(artist=outside, album=Album.objects.create(artist=first))
    Song.objects.create(artist=first, album=Album.objects.create(artist=second))

    done = deletion(Artist).delete([first.pk, second.pk, third.pk])

    assert (done.effect, done.skipped) == (Effect(1), {"protected": 2})
    assert set(Artist.objects.all()) == {first, second, outside}


def test_what_the_database_cascades_is_counted(db):
    hall, other = Hall.objects.create(), Hall.objects.create()
    Locker.objects.create(hall=hall)
    kept = Locker.objects.create(hall=other)

    assert deletion(Hall).delete([hall.pk]).effect == Effect(1, {"testapp.Locker": 1})
    assert list(Locker.objects.all()) == [kept]


# Others at work in the same rows


def leaf(author):
    return Chapter.objects.filter(book__author=author).last()


def inner(author):
    return author.books.last()


def unreferenced(author):
    return Bookmark.objects.get(book__author=author)


@pytest.mark.parametrize("child", [leaf, inner, unreferenced])
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_row_whose_child_is_locked_is_left_out_whole(child):
    kept, *free = authors(3)
    for author in (kept, *free):
        Bookmark.objects.create(book=author.books.first())
    with meanwhile(lock(child(kept))):
        done = delete(kept, *free)

    assert (done.left_out, done.skipped) == ([kept.pk], {})
    assert done.effect == Effect(2, {"testapp.Book": 4, "testapp.Chapter": 8})
    assert list(Author.objects.all()) == [kept]
    assert Chapter.objects.filter(book__author=kept).count() == 4
    assert Bookmark.objects.filter(book__author=kept).count() == 1
    assert Bookmark.objects.filter(book=None).count() == 2


@pytest.mark.parametrize("waits", [50, LONG])
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_run_tries_what_was_left_out_again_at_its_end(declare, settings, waits):
    settings.SESSION_CLEANUP_LOCKED_WAIT_MS = waits
    room, free = Room.objects.create(left_at=OLD), Room.objects.create(left_at=OLD)
    desk = Desk.objects.create(room=room)
    declare(Policy(name="rooms", model="testapp.Room", select=Aged("left_at"), action=Delete()))
    with meanwhile(lock(desk)) as commit_soon:
        if waits == LONG:
            commit_soon()
        job = runner.run(RunRequest(jobs=("rooms",)), now=NOW).jobs[0]

    assert job.error is None
    assert not Room.objects.contains(free)
    if waits == LONG:
        assert (job.changed, job.related, job.skipped) == (2, {"testapp.Desk": 1}, {})
    else:
        assert (job.changed, job.skipped, job.end_state) == (1, {"locked": 1}, "drained_with_skips")
        assert Desk.objects.get().room == room


@pytest.mark.parametrize("move", ["leaf", "inner"])
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_child_that_moves_to_another_parent_meanwhile_stays(move):
    """It moved, not yet committed, when we came; we wait for it."""
    gone, stays = authors(2)
    if move == "leaf":
        child, values = leaf(gone), {"book": stays.books.first()}
    else:
        child, values = gone.books.first(), {"author": stays}
    with (
        meanwhile(lambda: type(child).objects.filter(pk=child.pk).update(**values)) as commit_soon,
        batch([gone], LONG) as keys,
    ):
        commit_soon()
        done = deletion(Author).delete(keys)

    lost = {"leaf": {"Book": 2, "Chapter": 3}, "inner": {"Book": 1, "Chapter": 2}}[move]
    assert done.effect == Effect(1, {f"testapp.{name}": count for name, count in lost.items()})
    assert type(child).objects.contains(child)
    assert list(Author.objects.all()) == [stays]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_child_that_is_inserted_meanwhile_comes_too_late():
    """Its constraint is checked when it commits: then its parent is gone."""
    (author,) = authors(1)
    book = author.books.first()
    with meanwhile(lambda: Chapter.objects.create(book_id=book.pk)):
        done = delete(author)

    assert done.effect == Effect(1, {"testapp.Book": 2, "testapp.Chapter": 4})
    assert not Chapter.objects.exists()
