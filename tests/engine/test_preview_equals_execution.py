"""Promise 1, over random tables and random sets of policies in random order."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.db.models import F, Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from session_cleanup.engine import footprint, walks
from session_cleanup.engine.report import JobReport, RunReport
from session_cleanup.models import Hold
from session_cleanup.models.payloads import Print
from session_cleanup.policies import (
    Aged,
    Close,
    Deactivate,
    Delete,
    Duplicated,
    Excess,
    Invalid,
    Orphaned,
    Policy,
    Update,
)
from tests.factories import DAY, NOW
from tests.testapp.models import (
    Album,
    Artist,
    Author,
    Book,
    Bookmark,
    Car,
    Chapter,
    Click,
    Comment,
    Footnote,
    Loan,
    Song,
    Vehicle,
    Visit,
)

MODELS = [
    Click,
    Visit,
    Song,
    Album,
    Artist,
    Loan,
    Footnote,
    Bookmark,
    Chapter,
    Book,
    Author,
    Comment,
    Car,
    Vehicle,
]
AGES = [0 * DAY, DAY, 2 * DAY]
CLOCKS = [None, *(NOW - days * DAY - timedelta(seconds=1) for days in (-1, 0, 1, 2, 3))]


PAYLOADS = [None, {"a": 1}, {"a": 2}, [], "enc:x", {"encrypted": "x"}]


def is_object(value: object) -> bool:
    return isinstance(value, dict)


def ranking(keep: int) -> list[Policy]:
    """Selections that rank, look into a value and compare, on the same rows, each with two actions."""
    kept = {"verdict": "valid", "checked_at": "checked_at", "digest": "digest", "size": "size"}
    told = {"checked_at": "checked_at", "changed_at": "changed_at"}
    selections = {
        "excess": Excess(("author", "source"), "came_at", keep=keep),
        "excess-of-author": Excess("author", "came_at", keep=keep, protect_newest=Q(is_active=True)),
        "excess-inactive": Excess("source", "came_at", keep=keep, protect=Q(is_active=True)),
        "invalid": Invalid("payload", is_object, **kept, changed_at="changed_at"),  # type: ignore[arg-type]
        "duplicated": Duplicated("author", "came_at", digest="digest", **told),  # type: ignore[arg-type]
        "repeated": Duplicated("source", "came_at", digest="digest", keep="first"),
        "old": Aged("came_at", DAY),
    }
    deleting = [
        Policy(name=f"delete-{name}", model="testapp.Visit", select=select, action=Delete())
        for name, select in selections.items()
    ]
    active = Q(is_active=True)
    return deleting + [
        Policy(
            name=f"deactivate-{name}", model="testapp.Visit", where=active, select=select, action=Deactivate()
        )
        for name, select in selections.items()
    ]


def policies(age: timedelta) -> list[Policy]:
    """One of each kind, all on tables that lead to each other."""
    return [
        Policy(
            name="excess-books",
            model="testapp.Book",
            select=Excess("author", "read_at", keep=1, protect_newest=Q(is_active=True)),
            action=Delete(),
        ),
        Policy(
            name="excess-comments",
            model="testapp.Comment",
            select=Excess("parent", "made_at", keep=1),
            action=Delete(),
        ),
        Policy(name="delete-books", model="testapp.Book", select=Aged("read_at", age), action=Delete()),
        Policy(
            name="deactivate-books",
            model="testapp.Book",
            where=Q(is_active=True),
            select=Aged("read_at", age),
            action=Deactivate(related={"chapters": {"is_open": False}}),
        ),
        Policy(
            name="close-books",
            model="testapp.Book",
            where=Q(closed_at__isnull=True),
            select=Aged("read_at", age),
            action=Close(closed_at=F("read_at")),
        ),
        Policy(
            name="delete-bookmarks", model="testapp.Bookmark", select=Aged("placed_at", age), action=Delete()
        ),
        Policy(
            name="lose-bookmarks",
            model="testapp.Bookmark",
            where=Q(book__isnull=False),
            select=Aged("placed_at", age),
            action=Update({"book": None}),
        ),
        Policy(
            name="close-chapters",
            model="testapp.Chapter",
            where=Q(is_open=True, book__author__isnull=False),
            select=Orphaned("book"),
            action=Update({"is_open": False}),
        ),
        Policy(
            name="bookmarks-of-old-books",
            model="testapp.Bookmark",
            select=Aged("book__read_at", age),
            action=Delete(),
        ),
        Policy(
            name="authors-without-books",
            model="testapp.Author",
            select=Aged("seen_at", age, unreferenced_by="books"),
            action=Delete(),
        ),
        Policy(
            name="retire-authors-without-books",
            model="testapp.Author",
            where=Q(is_active=True),
            select=Aged("seen_at", age, unreferenced_by="books"),
            action=Deactivate(),
        ),
        Policy(name="delete-vehicles", model="testapp.Vehicle", select=Aged("made_at", age), action=Delete()),
        Policy(
            name="orphaned-cars",
            model="testapp.Car",
            select=Orphaned("vehicle_number", model="testapp.Vehicle"),
            action=Delete(),
        ),
        Policy(name="delete-artists", model="testapp.Artist", select=Aged("seen_at", age), action=Delete()),
        Policy(name="delete-albums", model="testapp.Album", select=Aged("seen_at", age), action=Delete()),
        Policy(name="delete-comments", model="testapp.Comment", select=Aged("made_at", age), action=Delete()),
    ]


def fill(random: Random) -> None:
    """A few rows of everything, referring to each other at random."""

    def many(most: int) -> range:
        return range(random.randint(0, most))

    def clock() -> Any:
        return random.choice(CLOCKS)

    def flag() -> bool:
        return random.random() < 0.7

    authors = [Author.objects.create(seen_at=clock()) for _ in many(4)]
    books = [
        Book.objects.create(
            author=random.choice([None, *authors]), is_active=flag(), read_at=clock(), closed_at=clock()
        )
        for _ in range(8)
    ]
    chapters = [Chapter.objects.create(book=random.choice(books), is_open=flag()) for _ in range(8)]
    for _ in many(4):
        Footnote.objects.create(chapter=random.choice(chapters))
    for _ in many(2):
        Loan.objects.create(book=random.choice(books))
    for _ in range(6):
        Bookmark.objects.create(book=random.choice([None, *books]), placed_at=clock())
    vehicles = [Vehicle.objects.create(made_at=clock()) for _ in range(3)]
    for _ in range(5):
        Car.objects.create(vehicle_number=random.choice([None, 0, *(vehicle.pk for vehicle in vehicles)]))
    artists = [Artist.objects.create(seen_at=clock()) for _ in range(3)]
    albums = [Album.objects.create(artist=random.choice(artists), seen_at=clock()) for _ in range(4)]
    for _ in many(3):
        Song.objects.create(artist=random.choice(artists), album=random.choice(albums))
    comments: list[Any] = [None]
    for _ in range(8):
        comments.append(Comment.objects.create(parent=random.choice(comments), made_at=clock()))
    visits = [visit(random, authors, clock) for _ in range(14)]
    for _ in many(6):
        Click.objects.create(visit=random.choice(visits))
    for row in [*books, *vehicles, *chapters, *visits]:
        if random.random() < 0.1:
            Hold.objects.place(row)


def visit(random: Random, authors: list[Any], clock: Callable[[], Any]) -> Visit:
    """Its verdict and digest are right, of another time, wrong or missing."""
    payload = random.choice(PAYLOADS)
    digests = [None, Print.of(payload).digest, *2 * [Print.of({"a": 1}).digest]]
    return Visit.objects.create(
        author=random.choice([None, *authors[:2]]),
        source=random.choice([None, "a", "b"]),
        is_active=random.random() < 0.6,
        came_at=clock(),
        changed_at=clock() or NOW - 2 * DAY,
        payload=payload,
        valid=random.choice([None, True, False]),
        digest=random.choice(digests),
        checked_at=random.choice([NOW - DAY, clock()]),
    )


def outcome(job: JobReport, count: int | None) -> tuple[Any, ...]:
    return job.name, count, dict(job.related), {why: n for why, n in job.skipped.items() if n}


def check(preview: RunReport, executed: RunReport) -> int:
    """Compare the jobs that claim to be exact; how many there were."""
    exact = 0
    for before, after in zip(preview.jobs, executed.jobs, strict=True):
        assert after.error is None
        if not before.inexact:
            exact += 1
            assert outcome(before, before.due) == outcome(after, after.changed)
    return exact


def empty() -> None:
    with connection.cursor() as cursor, connection.constraint_checks_disabled():
        for model in [*MODELS, Hold]:
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(model._meta.db_table)}")


@pytest.mark.parametrize("many", [0, footprint.MANY])  # claims as conditions, and by keys
@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_dry_run_counts_what_the_run_then_does(
    declare: Callable[..., None], run: Callable[..., RunReport], many: int, seed: int
) -> None:
    random = Random(seed)
    empty()
    fill(random)
    everything = policies(random.choice(AGES)) + ranking(random.randint(1, 3))
    declare(*random.sample(everything, random.randint(1, 10)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footprint, "MANY", many)
        preview = run(dry_run=True)
        patch.setattr(walks, "WINDOW", random.choice([1, 2, 5, 100]))
        executed = run(batch_size=random.randint(1, 4))

    assert check(preview, executed)
