"""Changes of one occurrence: it leaves the ways of its series, which says so in an exception.

Why it is safe: the session is locked and looked at again; what has begun or has ended is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import router, transaction

from session_cleanup.engine.connections import database_clock
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import OccurrenceLog, SeriesException, Session, SessionSeries
from session_cleanup.models.history import as_stored
from session_cleanup.recurrence.locking import first_locked
from session_cleanup.rules.wall import moment, zone_of

Event = OccurrenceLog.Event
Kind = SeriesException.Kind


def change(
    session: Session,
    *,
    begins: datetime | None = None,
    duration: timedelta | None = None,
    title: str | None = None,
    settings: dict[str, Any] | None = None,
    now: datetime | None = None,
) -> Session:
    """Change this one: when it begins (a wall time of its series), how long it is, what it is like."""
    with _locked(session, now) as (one, series, now):
        if title is not None:
            one.title = title
        if settings is not None:
            one.settings = settings
        assert one.starts_at is not None
        over = one.expires_at or one.starts_at
        lasts = duration or over - one.starts_at
        if begins is not None:
            start = moment(begins, zone_of(series.time_zone))
            one.starts_at, one.visible_at = as_stored(start), as_stored(series.visible_at(start, begins))
            _except(one, Kind.MOVED, begins)
        one.expires_at = one.starts_at + lasts
        one.is_detached = True
        one.save()
        if begins is not None:
            _note(Event.MOVED, one, now)
    return one


def cancel(session: Session, *, now: datetime | None = None) -> Session:
    """Call this one off. It stays, as cancelled."""
    with _locked(session, now) as (one, _, now):
        one.ended_at, one.end_reason = as_stored(now), Session.EndReason.CANCELLED
        one.is_detached = True
        one.save()
        _except(one, Kind.CANCELLED)
        _note(Event.CANCELLED, one, now)
    return one


@contextmanager
def _locked(session: Session, now: datetime | None) -> Iterator[tuple[Session, SessionSeries, datetime]]:
    using = session._state.db or router.db_for_write(Session)
    with transaction.atomic(using=using):
        one = first_locked(Session.objects.using(using).filter(pk=session.pk))
        now = now or database_clock(using)
        if one is None:
            raise ConfigurationError(f"{session} is there no more. Look at its series again.")
        if one.series is None or one.occurrence is None:
            raise ConfigurationError(f"{one} belongs to no series. Change it like any other row.")
        if one.state != "scheduled" or one.starts_at is None or one.starts_at <= as_stored(now):
            raise ConfigurationError(f"{one} has begun or has ended. Choose one that is to come.")
        yield one, one.series, now


def _except(one: Session, kind: str, moved_to: datetime | None = None) -> None:
    assert one.occurrence is not None
    SeriesException.objects.using(one._state.db).update_or_create(
        series_id=one.series_id, date=one.occurrence.date(), defaults={"kind": kind, "moved_to": moved_to}
    )


def _note(event: str, one: Session, now: datetime) -> None:
    using = one._state.db
    OccurrenceLog.objects.using(using).note(event, Session.objects.using(using).filter(pk=one.pk), now)
