"""Demo data for each system: some rows are due, some are not, and some stand at the boundary.

A row exactly at the cutoff is not due, but becomes so with the next tick of the clock; a row that
is `SOON` after it becomes so in a while.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Model, Q
from django.utils import timezone

from example_project.shop import leads, recurring
from example_project.shop.models import Cart, CartItem, Lead
from session_cleanup.conf import conf
from session_cleanup.models import (
    DeviceFingerprint,
    OccurrenceLog,
    Session,
    SessionDecline,
    SessionMember,
    SessionProfile,
    SessionSeries,
)

MARK = "demo-"  # begins one text column of every row, so that remove() knows its own
SOON, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
USERS, GONE, SESSIONS, CARTS = 200, 30, 200, 120
Row = TypeVar("Row", bound=Model)


def is_loaded() -> bool:
    return User.objects.filter(username__startswith=MARK).exists()


@transaction.atomic
def remove() -> None:
    """Remove every row that load() made, the orphans too."""
    DeviceFingerprint.objects.filter(digest__startswith=MARK).delete()
    SessionProfile.objects.filter(display_name__startswith=MARK).delete()
    Session.objects.filter(title__startswith=MARK).delete()
    SessionSeries.objects.filter(name__startswith=MARK).delete()
    OccurrenceLog.objects.filter(session_title__startswith=MARK).delete()
    Cart.objects.filter(session_key__startswith=MARK).delete()
    Lead.objects.filter(name__startswith=MARK).delete()
    User.objects.filter(username__startswith=MARK).delete()


@transaction.atomic
def load(now: datetime | None = None) -> dict[str, int]:
    """Create all rows, as seen at `now`; returns how many rows each table has then."""
    now = now or timezone.now()
    users = create(User(username=f"{MARK}{number:03}") for number in range(USERS))
    create(presentation(number, now) for number in range(SESSIONS))
    shared = create(collaborative(number, now) for number in range(SESSIONS))
    create(member for session in shared for member in members(session, users))
    dates = create(after_hours(number, user, now) for number, user in enumerate(users))
    create(decline(number, users, now) for number in range(USERS))
    create(DeviceFingerprint(session=date, digest=f"{MARK}{date.uid.hex}") for date in dates)
    create(SessionProfile(user=user, display_name=f"{user.username} by night") for user in users)
    carts = create(cart(number, now) for number in range(CARTS))
    create(CartItem(cart=cart, product=product) for cart in carts for product in ("tea", "cup"))
    forget(users[:GONE])
    people = create(Lead(name=f"{MARK}{name}") for name in leads.names())
    create(leads.sessions(people, now, MARK))
    leads.damage(people, now)
    create(recurring.sessions(create(recurring.series(now, MARK)), now))
    tables = (
        *(Session, SessionMember, SessionDecline, DeviceFingerprint, SessionProfile),
        *(SessionSeries, Cart, Lead),
    )
    return {str(table._meta.verbose_name_plural): table._base_manager.count() for table in tables}


def create(rows: Iterable[Row]) -> list[Row]:
    made = list(rows)
    return type(made[0])._base_manager.bulk_create(made)


def at_or_around(number: int, cutoff: datetime, due: datetime, later: datetime) -> datetime:
    """A date for row `number`: every tenth exactly at the cutoff, every tenth soon after it."""
    return {0: cutoff, 1: cutoff + SOON}.get(number % 10, due if number % 2 else later)


def presentation(number: int, now: datetime) -> Session:
    """Blank ones of every age; of the old ones two in three have a topic or content."""
    cutoff = now - timedelta(hours=conf.HOURS)
    old, young = cutoff - number * HOUR, now - (now - cutoff) * (number % 23) / 24
    return Session(
        kind=Session.Kind.PRESENTATION,
        title=f"{MARK}deck {number}",
        has_blank_presentation=True,
        has_topic=number % 6 == 3,
        has_user_content=number % 6 == 5,
        created_at=at_or_around(number, cutoff, old, young),
    )


def collaborative(number: int, now: datetime) -> Session:
    """Some are over; every seventh never expires, and every eighth was ended by somebody."""
    expires_at = at_or_around(number, now, now - number * HOUR, now + number * HOUR)
    ended = number % 8 == 4
    return Session(
        kind=Session.Kind.COLLABORATIVE,
        title=f"{MARK}room {number}",
        created_at=now - 30 * DAY,
        last_activity_at=expires_at - timedelta(days=conf.INACTIVITY_DAYS),
        expires_at=None if number % 7 == 5 else expires_at,
        is_active=not ended,
        ended_at=now - DAY if ended else None,
        end_reason=Session.EndReason.ENDED if ended else "",
    )


def members(session: Session, users: list[User]) -> Iterator[SessionMember]:
    for place in range(3):
        user = users[(session.pk + place) % len(users)]
        yield SessionMember(session=session, user=user, is_online=session.is_active and place < 2)


def after_hours(number: int, owner: User, now: datetime) -> Session:
    """One for each user: every fifth was ended in time, of the others some are over."""
    ended = number % 5 == 3
    expires_at = at_or_around(number, now, now - number * HOUR, now + number * HOUR)
    return Session(
        kind=Session.Kind.AFTER_HOURS,
        title=f"{MARK}date {number}",
        owner=owner,
        created_at=now - 30 * DAY,
        expires_at=expires_at,
        is_active=not ended,
        ended_at=now - number * HOUR if ended else None,
        end_reason=Session.EndReason.ENDED if ended else "",
    )


def decline(number: int, users: list[User], now: datetime) -> SessionDecline:
    """All were first given long ago; what counts is the last date."""
    cutoff = now - timedelta(days=conf.DECLINE_DAYS)
    return SessionDecline(
        decliner=users[number],
        declined=users[number - 1],
        count=1 + number % 4,
        created_at=now - 60 * DAY,
        last_declined_at=at_or_around(number, cutoff, cutoff - DAY, now - HOUR),
    )


def cart(number: int, now: datetime) -> Cart:
    """Carts of half a year; every sixth was ordered and is kept."""
    cutoff = now - 90 * DAY
    return Cart(
        session_key=f"{MARK}{number}",
        is_ordered=number % 6 == 5,
        updated_at=at_or_around(number, cutoff, cutoff - number * DAY, now - number % 80 * DAY),
    )


def forget(users: list[User]) -> None:
    """Delete these users and their sessions: their fingerprints and profiles become orphans."""
    gone = Q(owner__in=users, kind=Session.Kind.AFTER_HOURS)
    Session.objects.filter(gone).delete()
    User.objects.filter(pk__in=[user.pk for user in users]).delete()
