"""Creates the sessions of series, with their members and their entries in the log.

Why it is safe: it is called within one transaction, in which the series are locked. What a series gives and
how far that goes (`generated_until`) commit together, so what was generated once is not generated again,
whatever became of it. Should two processes meet all the same, the unique pair of series and original start
lets one of them create the session and the other pass over it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import uuid4

from django.db import connections
from django.db.models import Count, F, QuerySet, Value

from session_cleanup.models import OccurrenceLog, SeriesException, SeriesMember, Session, SessionMember
from session_cleanup.models.history import as_stored
from session_cleanup.models.selected import inserting_selected
from session_cleanup.recurrence.inserting import MADE, AmongMade, Occurrence, Sql, as_json, inserting
from session_cleanup.recurrence.planning import Part, Start
from session_cleanup.rules.wall import moment, zone_of

Event = OccurrenceLog.Event
Kind = SeriesException.Kind
Exceptions = Mapping[tuple[int, date], SeriesException]


class Creator:
    """Creates sessions in one database. Its statements are put into SQL once, for many batches."""

    def __init__(self, now: datetime, using: str) -> None:
        self.now = now
        self.using = using
        self.made = Session.objects.using(using).filter(AmongMade(F("uid"), MADE))

    def create(self, parts: list[Part]) -> tuple[Counter[int], int]:
        """Create what the parts say; how many of each series were created, and members in all."""
        excepted = _exceptions(parts, self.using)
        wanted = [row for part in parts for row in _occurrences(part, excepted, self.now)]
        if not wanted:
            return Counter(), 0
        text = as_json(wanted, self.using)
        if self._execute(self._sessions, text) < len(wanted):
            rows = Session.objects.using(self.using).filter(uid__in=[row.uid for row in wanted])
            there = set(rows.values_list("uid", flat=True))
            wanted = [row for row in wanted if row.uid in there]
        self._execute(self._generated, text)
        for statement in self._special if excepted else ():
            self._execute(statement, text)
        return Counter(row.series_id for row in wanted), self._execute(self._members, text)

    def _execute(self, statement: Sql, text: str) -> int:
        sql, params = statement
        with connections[self.using].cursor() as cursor:
            cursor.execute(sql, [text if param is MADE else param for param in params])
            return int(cursor.rowcount)

    @cached_property
    def _sessions(self) -> Sql:
        return inserting(self.now, self.using)

    @cached_property
    def _generated(self) -> Sql:
        return self._noting(Event.GENERATED, self.made)

    @cached_property
    def _special(self) -> list[Sql]:
        moved = self.made.filter(is_detached=True, ended_at__isnull=True)
        return [
            self._noting(Event.CANCELLED, self.made.filter(ended_at__isnull=False)),
            self._noting(Event.MOVED, moved),
        ]

    def _noting(self, event: str, rows: QuerySet[Session]) -> Sql:
        return OccurrenceLog.objects.using(self.using).noting(event, rows, self.now)

    @cached_property
    def _members(self) -> Sql:
        """Makes the members of the series members of their sessions."""
        return inserting_selected(
            SessionMember,
            self.made.filter(series__seriesmember__isnull=False).order_by("pk"),
            session=F("pk"),
            user=F("series__seriesmember__user"),
            permission=F("series__seriesmember__permission"),
            is_online=Value(False),
            joined_at=Value(as_stored(self.now), SessionMember._meta.get_field("joined_at")),
        )


def foreseen(parts: list[Part], now: datetime, using: str) -> Iterator[tuple[int, int]]:
    """How many sessions, and members of them, `create` would create of each part."""
    excepted = _exceptions(parts, using)
    keys = [part.series.pk for part in parts]
    walls = {wall for part in parts for _, wall in part.starts}
    rows = Session.objects.using(using).filter(series__in=keys, occurrence__in=walls)
    there = set(rows.values_list("series_id", "occurrence"))
    counted = SeriesMember.objects.using(using).filter(series__in=keys).values_list("series_id")
    members: dict[Any, int] = dict(counted.annotate(Count("pk")))
    for part in parts:
        wanted = {(row.series_id, row.occurrence) for row in _occurrences(part, excepted, now)}
        sessions = len(wanted - there)
        yield sessions, sessions * members.get(part.series.pk, 0)


def _exceptions(parts: list[Part], using: str) -> Exceptions:
    starts = [start for part in parts for start in part.starts[:1]]
    if not starts:
        return {}
    near = min(starts)[0].date() - timedelta(days=1)
    rows = SeriesException.objects.using(using).filter(date__gte=near)
    found = rows.filter(series__in=[part.series.pk for part in parts])
    return {(each.series_id, each.date): each for each in found}


def _occurrences(part: Part, excepted: Exceptions, now: datetime) -> Iterator[Occurrence]:
    for start in part.starts:
        exception = excepted.get((part.series.pk, start[1].date())) if excepted else None
        if exception is None or exception.kind != Kind.SKIPPED:
            yield _occurrence(part, start, exception, now)


def _occurrence(part: Part, start: Start, exception: SeriesException | None, now: datetime) -> Occurrence:
    series, (begins, wall) = part.series, start
    shown = wall
    if exception is not None and exception.moved_to is not None:
        shown = exception.moved_to
        begins = moment(shown, zone_of(series.time_zone))
    cancelled = exception is not None and exception.kind == Kind.CANCELLED
    return Occurrence(
        uid=uuid4(),
        series_id=series.pk,
        title=series.title(shown),
        occurrence=wall,
        starts_at=as_stored(begins),
        expires_at=as_stored(begins + series.duration),
        visible_at=as_stored(series.visible_at(begins, shown)),
        ended_at=as_stored(now) if cancelled else None,
        end_reason=Session.EndReason.CANCELLED if cancelled else "",
        is_detached=exception is not None,
    )
