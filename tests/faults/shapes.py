"""The shapes of a job: which rows it takes along, how its rows are made, and how one of them is refreshed.

Rows that are due lie half an hour before LINE, rows that live half an hour after it, and LINE is the
database's clock when the rows are made: a clock that is an hour off misjudges all of them.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from session_cleanup.models import Session, SessionMember
from session_cleanup.policies import Aged, Delete, Orphaned, Policy
from session_cleanup.policies.presets import PRESETS
from tests.testapp.models import Book, Bookmark, Car, Chapter, Footnote, Vehicle
from tests.testapp.shapes import Desk, Draft, Room

MARGIN = timedelta(minutes=30)


@dataclass(frozen=True)
class Counted:
    """A table whose changes a trigger writes down, each with whether the row was a live one.

    `done` tells our change from that of another writer, over OLD and NEW; empty: every delete is ours.
    `live` is true of a row that must not be touched, over OLD; {line} stands for LINE.
    """

    model: type[Model]
    live: str
    done: str = ""
    in_history: bool = True

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def event(self) -> str:
        return "UPDATE" if self.done else "DELETE"


@dataclass(frozen=True, eq=False)
class Shape:
    """One job and its rows.

    fill       make rows: how many of them are due, and how many live
    due        those that a run at LINE has to change and that nobody has refreshed
    move_away  give a related row of this one to a live row
    half_done  related rows that are not as their row says; never any
    refresh    make this row live by a change of its own; whether it was still there
    rescue     the same by a change in another table, where the condition looks at one
    """

    policy: Policy
    counted: tuple[Counted, ...]  # its own model first
    fill: Callable[[int, int, datetime], None]
    due: Callable[[datetime], QuerySet[Any]]
    refresh: Callable[[Any, datetime], int]
    rescue: Callable[[Any], int] | None = None
    move_away: Callable[[Any, datetime], int] | None = None
    half_done: Callable[[], Iterable[Any]] = field(default=tuple)

    @property
    def model(self) -> type[Model]:
        return self.counted[0].model

    @property
    def name(self) -> str:
        return self.policy.name


def clocks(due: int, live: int, line: datetime) -> list[datetime]:
    """One clock a row, due and live rows well mixed, each due row at a moment of its own."""
    found = [line - MARGIN - timedelta(seconds=number) for number in range(due)]
    found += [line + MARGIN] * live
    random.Random(0).shuffle(found)
    return found


def fill_sessions(due: int, live: int, line: datetime) -> None:
    users = get_user_model().objects.bulk_create(
        get_user_model()(username=f"member {number}") for number in range(2)
    )
    rows = Session.objects.bulk_create(
        Session(kind="collaborative", expires_at=clock) for clock in clocks(due, live, line)
    )
    SessionMember.objects.bulk_create(
        SessionMember(session=row, user=user, is_online=True) for row in rows for user in users
    )


def fill_drafts(due: int, live: int, line: datetime) -> None:
    Draft.objects.bulk_create(Draft(text="draft", saved_at=clock) for clock in clocks(due, live, line))


def fill_books(due: int, live: int, line: datetime) -> None:
    rows = Book.objects.bulk_create(Book(title="book", read_at=clock) for clock in clocks(due, live, line))
    chapters = Chapter.objects.bulk_create(Chapter(book=row) for row in rows for _ in range(2))
    Footnote.objects.bulk_create(Footnote(chapter=chapter) for chapter in chapters)
    Bookmark.objects.bulk_create(Bookmark(book=row) for row in rows)


def fill_desks(due: int, live: int, line: datetime) -> None:
    """Each desk in a room of its own; half of the live ones are old, but their room is open."""
    moments = clocks(due, live, line)
    old = line - MARGIN
    by_room = {number for number, clock in enumerate(moments) if clock > line and number % 2}
    rooms = Room.objects.bulk_create(Room(is_open=number in by_room) for number in range(len(moments)))
    Desk.objects.bulk_create(
        Desk(room=room, used_at=old if number in by_room else clock)
        for number, (room, clock) in enumerate(zip(rooms, moments, strict=True))
    )


def fill_cars(due: int, live: int, line: datetime) -> None:
    vehicles = Vehicle.objects.bulk_create(Vehicle() for _ in range(live))
    numbers = [vehicle.pk for vehicle in vehicles] + [10**9 + number for number in range(due)]
    random.Random(0).shuffle(numbers)
    Car.objects.bulk_create(Car(vehicle_number=number) for number in numbers)


def sessions_half_done() -> QuerySet[Any]:
    members = SessionMember.objects.filter(is_online=True, session__is_active=False)
    return members | SessionMember.objects.filter(is_online=False, session__is_active=True)


def chapter_moves(key: Any, line: datetime) -> int:
    """A chapter of this book goes to one that lives."""
    alive = Book.objects.filter(read_at__gte=line).first()
    chapter = Chapter.objects.filter(book=key).values_list("pk", flat=True).first()
    return Chapter.objects.filter(pk=chapter, book=key).update(book=alive) if alive else 0


def orphans() -> QuerySet[Car]:
    found = Vehicle.objects.filter(pk=OuterRef("vehicle_number"))
    return Car.objects.filter(~Exists(found), vehicle_number__isnull=False)


def orphans_adopted(key: Any, line: datetime) -> int:
    """An owner is found for this car: one of the vehicles that there are."""
    there = Vehicle.objects.filter(pk__lt=10**9).first()
    return Car.objects.filter(pk=key).update(vehicle_number=there.pk) if there else 0


def vehicle_appears(key: Any) -> int:
    """The vehicle that this car refers to comes to be."""
    number = Car.objects.filter(pk=key).values_list("vehicle_number", flat=True).first()
    return number is not None and Vehicle.objects.get_or_create(pk=number)[1]


LIVE_BOOK = "EXISTS (SELECT 1 FROM testapp_book b WHERE b.id = OLD.book_id AND b.read_at >= '{line}')"
LIVE_SESSION = (
    "EXISTS (SELECT 1 FROM session_cleanup_session s"
    " WHERE s.id = OLD.session_id AND s.expires_at >= '{line}')"
)
SESSIONS = Shape(
    policy=PRESETS["collaborative"]()[0],
    counted=(
        Counted(Session, "OLD.expires_at >= '{line}'", done="NOT NEW.is_active"),
        Counted(SessionMember, LIVE_SESSION, done="NOT NEW.is_online"),
    ),
    fill=fill_sessions,
    due=lambda line: Session.objects.filter(is_active=True, expires_at__lt=line),
    refresh=lambda key, line: Session.objects.filter(pk=key, is_active=True).update(expires_at=line + MARGIN),
    half_done=sessions_half_done,
)
DRAFTS = Shape(
    policy=Policy(name="drafts", model="testapp.Draft", select=Aged("saved_at"), action=Delete()),
    counted=(Counted(Draft, "OLD.saved_at >= '{line}'"),),
    fill=fill_drafts,
    due=lambda line: Draft.objects.filter(saved_at__lt=line),
    refresh=lambda key, line: Draft.objects.filter(pk=key).update(saved_at=line + MARGIN),
)
BOOKS = Shape(
    policy=Policy(name="books", model="testapp.Book", select=Aged("read_at"), action=Delete()),
    counted=(
        Counted(Book, "OLD.read_at >= '{line}'"),
        Counted(Chapter, LIVE_BOOK),
        Counted(Footnote, "1 = 0"),
        Counted(Bookmark, LIVE_BOOK, done="NEW.book_id IS NULL", in_history=False),
    ),
    fill=fill_books,
    due=lambda line: Book.objects.filter(read_at__lt=line),
    refresh=lambda key, line: Book.objects.filter(pk=key).update(read_at=line + MARGIN),
    move_away=chapter_moves,
)
DESKS = Shape(
    policy=Policy(
        name="desks",
        model="testapp.Desk",
        where=Q(room__is_open=False),
        select=Aged("used_at"),
        action=Delete(),
    ),
    counted=(Counted(Desk, "OLD.used_at >= '{line}'"),),
    fill=fill_desks,
    due=lambda line: Desk.objects.filter(room__is_open=False, used_at__lt=line),
    refresh=lambda key, line: Desk.objects.filter(pk=key).update(used_at=line + MARGIN),
    rescue=lambda key: Room.objects.filter(desks=key, is_open=False).update(is_open=True),
)
CARS = Shape(
    policy=Policy(
        name="cars",
        model="testapp.Car",
        select=Orphaned("vehicle_number", model="testapp.Vehicle"),
        action=Delete(),
    ),
    counted=(Counted(Car, "OLD.vehicle_number < 1000000000"),),
    fill=fill_cars,
    due=lambda line: orphans(),
    refresh=orphans_adopted,
    rescue=vehicle_appears,
)
SHAPES = [SESSIONS, DRAFTS, BOOKS, DESKS, CARS]
