"""How recurring sessions stand now: what comes up, what became of them, and their series.

Each listing is read by an index, in its order, and ends after MOST rows. The README has the same as SQL.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import router
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from session_cleanup.analytics.asking import asked
from session_cleanup.conf import conf
from session_cleanup.engine.connections import database_clock
from session_cleanup.exceptions import RuleError, SessionCleanupError
from session_cleanup.models import OccurrenceLog, Session, SessionSeries
from session_cleanup.rules.wall import wall_time, zone_of

AHEAD = timedelta(days=7)
MOST = 1000
LOGGED = 50
Row = tuple[str | int | None, ...]


@dataclass(frozen=True)
class Listing:
    """Some rows, the first MOST; `more`: there are others."""

    title: str
    columns: tuple[str, ...]
    rows: list[Row]
    more: bool = False


def look(sections: Sequence[str], now: datetime | None = None) -> tuple[datetime, dict[str, Listing]]:
    """The moment, and the listings of these names. Raises SessionCleanupError for one that takes too long."""
    using = router.db_for_write(Session)
    now = now or database_clock(using)
    return now, {name: _bounded(name, using, now) for name in sections}


def _bounded(name: str, using: str, now: datetime) -> Listing:
    found = asked(using, lambda: SECTIONS[name](using, now))
    if found is None:
        raise SessionCleanupError(
            f"The query of the section {name!r} was given up after SESSION_CLEANUP_STATEMENT_TIMEOUT_MS "
            f"({conf.STATEMENT_TIMEOUT_MS}). Raise that, or ask cleanup_doctor why the database is slow."
        )
    return found


def upcoming(using: str, now: datetime) -> Listing:
    rows = Session.objects.using(using).upcoming(now, AHEAD).select_related("series")
    columns = ("title", "is_active", "starts_at", "expires_at", "ended_at", "end_reason")
    found, more = _first(rows.only(*columns, "series__name", "series__time_zone"))
    return Listing(
        f"Sessions of the next {AHEAD.days} days, in the time of their zone",
        ("name", "state", "date", "from", "until", "zone", "series"),
        [_occurrence(session) for session in found],
        more,
    )


def _occurrence(session: Session) -> Row:
    zone = zone_or_utc(session.series.time_zone if session.series else "UTC")
    assert session.starts_at is not None
    begin, until = wall_time(session.starts_at, zone), None
    if session.expires_at is not None:
        end = wall_time(session.expires_at, zone)
        until = f"{end:%H:%M}" if end.date() == begin.date() else f"{end:%Y-%m-%d %H:%M}"
    series = session.series.name if session.series else None
    return session.title, session.state, f"{begin:%Y-%m-%d}", f"{begin:%H:%M}", until, zone.key, series


def log(using: str, now: datetime) -> Listing:
    rows = OccurrenceLog.objects.using(using).order_by("-pk")[:LOGGED]
    return Listing(
        f"Last {LOGGED} entries of the log; at is UTC, date and time are the original ones of the series",
        ("at", "event", "series", "session", "date", "time"),
        [_entry(entry) for entry in rows],
    )


def _entry(entry: OccurrenceLog) -> Row:
    at, wall = wall_time(entry.at, zone_of("UTC")), entry.occurrence
    date, clock = (f"{wall:%Y-%m-%d}", f"{wall:%H:%M}") if wall else (None, None)
    return f"{at:%Y-%m-%d %H:%M:%S}", entry.event, entry.series_name, entry.session_title, date, clock


def series(using: str, now: datetime) -> Listing:
    found, more = _first(SessionSeries.objects.using(using).defer("settings").order_by("pk"))
    return Listing(
        "Series",
        ("series", "rule", "zone", "start", "end", "state"),
        [
            (
                each.name,
                re.sub(r"\s+", " ", each.rule),
                each.time_zone,
                f"{each.first:%Y-%m-%d %H:%M}",
                local(each.ends_at, each.time_zone),
                each.state_at(now),
            )
            for each in found
        ],
        more,
    )


def per_series(using: str, now: datetime) -> Listing:
    rows = with_sessions(SessionSeries.objects.using(using))
    found, more = _first(rows.defer("settings").order_by("pk"))
    return Listing(
        "Sessions that were generated and are there, by series",
        ("series", "sessions", "earliest", "latest", "zone"),
        [
            (
                each.name,
                each.session_count,
                local(each.earliest, each.time_zone),
                local(each.latest, each.time_zone),
                zone_or_utc(each.time_zone).key,
            )
            for each in found
        ],
        more,
    )


SECTIONS: dict[str, Callable[[str, datetime], Listing]] = {
    "upcoming": upcoming,
    "log": log,
    "series": series,
    "per-series": per_series,
}


def with_sessions(rows: QuerySet[SessionSeries]) -> QuerySet[Any]:
    """Series, each with the `session_count` of those that are there, the `earliest` and the `latest`."""
    sessions = Session.objects.filter(series=OuterRef("pk")).order_by()
    begin = sessions.filter(starts_at__isnull=False).values("starts_at")
    count = sessions.values("series").annotate(count=Count("pk")).values("count")
    return rows.annotate(
        session_count=Coalesce(Subquery(count), 0),
        earliest=Subquery(begin.order_by("starts_at")[:1]),
        latest=Subquery(begin.order_by("-starts_at")[:1]),
    )


def local(moment: datetime | None, zone: str) -> str | None:
    """Date and time in that zone."""
    return None if moment is None else f"{wall_time(moment, zone_or_utc(zone)):%Y-%m-%d %H:%M}"


def zone_or_utc(name: str) -> ZoneInfo:
    """A series whose zone is none has a problem of its own; here it is not to hide the others."""
    try:
        return zone_of(name)
    except RuleError:
        return zone_of("UTC")


def _first(rows: QuerySet[Any]) -> tuple[list[Any], bool]:
    found = list(rows[: MOST + 1])
    return found[:MOST], len(found) > MOST
