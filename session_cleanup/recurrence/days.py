"""Days on which a series is left alone when it changes: something stays there, or was deleted."""

from datetime import date, datetime, time
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from session_cleanup.exceptions import RuleError
from session_cleanup.models import OccurrenceLog, SeriesException, Session, SessionSeries
from session_cleanup.models.history import as_stored
from session_cleanup.rules.wall import wall_time, zone_of

Event = OccurrenceLog.Event


def closed_days(series: SessionSeries, now: datetime) -> set[date]:
    """Days to which nothing is added: there is a session that stays, or there is to be none."""
    today = _today(series, now)
    rows = series.sessions.filter(occurrence__gte=today)
    editable = rows.scheduled().filter(starts_at__gt=as_stored(now), is_detached=False)
    stay = rows.exclude(pk__in=editable.values("pk")).values_list("occurrence", flat=True)
    exceptions = series.exceptions.filter(date__gte=today.date()).values_list("date", flat=True)
    return {wall.date() for wall in stay if wall} | set(exceptions) | _deleted(series, now)


def _today(series: SessionSeries, now: datetime) -> datetime:
    try:
        zone = zone_of(series.time_zone)
    except RuleError:  # this is the change that mends it
        zone = zone_of("UTC")
    return datetime.combine(wall_time(now, zone), time.min)


def _deleted(series: SessionSeries, now: datetime) -> set[date]:
    """Days from today on of which the log knows something, all of which has been deleted.

    What an earlier change of the series removed does not count: of that the log says that it was cancelled.
    """
    today, using = _today(series, now), series._state.db
    log = OccurrenceLog.objects.using(using).filter(series_uid=series.uid, occurrence__gte=today)
    removed = log.filter(event=Event.CANCELLED).values("session_uid")
    there = Exists(Session.objects.using(using).filter(uid=OuterRef("session_uid")))  # in whichever series
    return _days(log.exclude(session_uid__in=removed).exclude(there)) - _days(
        series.sessions.filter(occurrence__gte=today)
    )


def _days(rows: QuerySet[Any]) -> set[date]:
    return {wall.date() for wall in rows.values_list("occurrence", flat=True)}


def remember_deleted(series: SessionSeries, now: datetime) -> None:
    """Make exceptions of the days on which all was deleted: at other times it shall not come back either."""
    days = sorted(_deleted(series, now))
    SeriesException.objects.using(series._state.db).bulk_create(
        [SeriesException(series=series, date=day) for day in days], ignore_conflicts=True
    )
