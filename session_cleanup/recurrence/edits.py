"""Changes of a series: of all that is to come, or of one session and all that follow it.

Why it is safe: what has begun, has ended or was changed by itself stays as it is; so do days on which
something was deleted. The preview and the change come from one plan, which is made again under the lock of
the series, the one that recurring-generate takes; all of it is one transaction. Of the sessions that lie on a
day on which the series still is, the rows stay, with their uids and members; the others have not begun, and
are deleted with an entry in the log.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

from django.db import router, transaction
from django.db.models import F

from session_cleanup.engine.connections import database_clock
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import OccurrenceLog, SeriesMember, Session, SessionSeries
from session_cleanup.models.history import as_stored
from session_cleanup.policies.claims import AmongKeys
from session_cleanup.recurrence.creating import Creator
from session_cleanup.recurrence.days import closed_days, remember_deleted
from session_cleanup.recurrence.locking import first_locked
from session_cleanup.recurrence.planning import Part, Start, aware
from session_cleanup.rules.rule import Rule
from session_cleanup.rules.wall import moment, zone_of

Event = OccurrenceLog.Event
CHANGEABLE = (
    *("name", "rule", "time_zone", "start_time", "duration", "visible_before"),
    *("horizon_days", "title_pattern", "settings"),
)
OF_SESSION = ("title", "starts_at", "expires_at", "visible_at", "settings", "occurrence")


@dataclass
class Outcome:
    """What a change does to sessions that exist, and which it adds."""

    changed: list[Session] = field(default_factory=list)  # as they will be
    moved: list[Session] = field(default_factory=list)  # those of them that begin at another time
    removed: list[Session] = field(default_factory=list)
    added: list[Start] = field(default_factory=list)
    kept: list[Session] = field(default_factory=list)  # to come, and left alone

    def counts(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in vars(self).items()}


@dataclass(frozen=True)
class Edit:
    """New values for a series: for all of its sessions that are to come, or from `following` on.

    These then get a series of their own, and the first one ends before.
    """

    series: SessionSeries
    changes: Mapping[str, Any]
    following: Session | None = None

    def __post_init__(self) -> None:
        if strange := sorted(set(self.changes) - set(CHANGEABLE)):
            raise ConfigurationError(
                f"{strange[0]!r} of a series cannot be changed for its sessions. Choose among "
                f"{', '.join(CHANGEABLE)}."
            )
        if self.following is not None and self.following.series_id != self.series.pk:
            raise ConfigurationError(f"{self.following} is no session of {self.series}. Give one of its own.")

    def preview(self, now: datetime | None = None) -> Outcome:
        """What `apply` would do. Writes nothing. Raises ValidationError for values that are no good."""
        rows = SessionSeries.objects.using(self._using).filter(pk=self.series.pk)
        series, now = self._there(rows.first()), now or database_clock(self._using)
        begin = self._begin(series, now)
        return _planned(series, self._changed(series, begin), begin, now)

    def apply(self, now: datetime | None = None) -> Outcome:
        """Do it; returns what was done. Raises ValidationError for values that are no good."""
        using = self._using
        with transaction.atomic(using=using):
            rows = SessionSeries.objects.using(using).filter(pk=self.series.pk)
            series, now = self._there(first_locked(rows)), now or database_clock(using)
            begin = self._begin(series, now)
            changed = self._changed(series, begin)
            remember_deleted(series, now)
            outcome = _planned(series, changed, begin, now, lock=True)
            changed.save(using=using)
            if begin is not None:
                _split(series, changed, begin)
            _carry_out(outcome, changed, now, using)
        self.series.refresh_from_db()
        return outcome

    @property
    def _using(self) -> str:
        return self.series._state.db or router.db_for_write(SessionSeries)

    def _there(self, found: SessionSeries | None) -> SessionSeries:
        if found is None:
            raise ConfigurationError(f"The series {self.series} is there no more. Look at all of them.")
        return found

    def _begin(self, series: SessionSeries, now: datetime) -> datetime | None:
        """The wall time from which on the change is; None: all that is to come."""
        if self.following is None:
            return None
        first = series.sessions.filter(pk=self.following.pk, occurrence__isnull=False).first()
        if first is None:  # another change gave it to another series, or it was deleted
            raise ConfigurationError(
                f"{self.following} is no session of {series} any more. Look at it again."
            )
        if first.starts_at is None or first.starts_at <= as_stored(now):
            raise ConfigurationError(f"{first} has begun already. Choose one that is to come.")
        earlier = next(_counted(series, series.first, first.occurrence), None)
        return first.occurrence if earlier else None  # else nothing would be left of the series

    def _changed(self, series: SessionSeries, begin: datetime | None) -> SessionSeries:
        """The series as it will be, not saved; from a session on it is a new one."""
        changed = copy(series)
        changed._state = copy(series._state)
        if begin is not None:
            changed.pk, changed.uid, changed._state.adding = None, uuid4(), True
            changed.rule, first = _rest(series, begin)
            changed.first_date, changed.start_time = first.date(), first.time()
        for name, value in self.changes.items():
            setattr(changed, name, value)
        changed.full_clean(exclude=["uid"], validate_unique=False)
        return changed


def _counted(series: SessionSeries, after: datetime, before: datetime) -> Iterator[datetime]:
    """What the rule gives and counts, also what its EXDATE leaves out."""
    rule, zone = Rule.parse(series.rule), zone_of(series.time_zone)
    return Rule(rule.parts).between(series.first, after, before, zone)


def _rest(series: SessionSeries, begin: datetime) -> tuple[str, datetime]:
    """The rule of what begins then or later, and the first of it."""
    rule = Rule.parse(series.rule)
    first = next(_counted(series, begin, datetime.max), None)
    if first is None:
        raise ConfigurationError(f"Nothing of {series} follows after {begin}. Choose an earlier session.")
    if rule.count is not None:
        rule = rule.until(None, rule.count - sum(1 for _ in _counted(series, series.first, first)))
    return str(rule), first


def _planned(
    series: SessionSeries,
    changed: SessionSeries,
    begin: datetime | None,
    now: datetime,
    *,
    lock: bool = False,
) -> Outcome:
    """What becomes of the sessions of `series` when it becomes `changed`, as far as it was generated."""
    outcome = Outcome()
    rows = series.sessions.filter(starts_at__gt=as_stored(now)).order_by("occurrence", "pk")
    if begin is not None:
        rows = rows.filter(occurrence__gte=begin)
    if lock:
        rows = rows.select_for_update(no_key=True)
    days: dict[date, list[Session]] = {}
    for session in rows:
        if session.state != "scheduled" or session.is_detached:
            outcome.kept.append(session)
        elif session.occurrence is not None:
            days.setdefault(session.occurrence.date(), []).append(session)
    wanted: dict[date, list[Start]] = {}
    for start in _starts(changed, begin, now):
        wanted.setdefault(start[1].date(), []).append(start)
    closed = closed_days(series, now)
    for day in sorted(days.keys() | wanted.keys()):
        pairs, left, more = _matched(days.get(day, []), wanted.get(day, []))
        for session, start in pairs:
            _rewrite(session, start, changed, outcome)
        outcome.removed += left
        outcome.added += [] if day in closed else more
    return outcome


def _starts(changed: SessionSeries, begin: datetime | None, now: datetime) -> list[Start]:
    if changed.generated_until is None:
        return []
    after = now + timedelta(microseconds=1)
    if begin is not None:
        after = max(after, moment(datetime.combine(begin, time.min), zone_of(changed.time_zone)))
    return changed.starts(after, max(after, aware(changed.generated_until)))


def _matched(
    sessions: list[Session], starts: list[Start]
) -> tuple[list[tuple[Session, Start]], list[Session], list[Start]]:
    """Pair the sessions and the starts of a day: the same ones, then in their order; and what is left."""
    by_wall = {start[1]: start for start in starts}
    pairs = [(each, by_wall.pop(each.occurrence)) for each in sessions if each.occurrence in by_wall]
    paired = {session.pk for session, _ in pairs}
    left, more = [each for each in sessions if each.pk not in paired], list(by_wall.values())
    count = min(len(left), len(more))
    return [*pairs, *zip(left, more, strict=False)], left[count:], more[count:]


def _rewrite(session: Session, start: Start, changed: SessionSeries, outcome: Outcome) -> None:
    begins, wall = start
    before = [getattr(session, name) for name in OF_SESSION]
    session.title, session.settings, session.occurrence = changed.title(wall), changed.settings, wall
    session.starts_at, session.expires_at = as_stored(begins), as_stored(begins + changed.duration)
    session.visible_at = as_stored(changed.visible_at(begins, wall))
    if before != [getattr(session, name) for name in OF_SESSION]:
        outcome.changed.append(session)
        if before[OF_SESSION.index("starts_at")] != session.starts_at:
            outcome.moved.append(session)


def _split(series: SessionSeries, changed: SessionSeries, begin: datetime) -> None:
    """End the series before that wall time; what follows goes to the new one, with its log (see days)."""
    using = changed._state.db
    series.rule = str(Rule.parse(series.rule).until(begin - timedelta(seconds=1)))
    series.save(using=using, update_fields=["rule", "updated_at"])
    members = SeriesMember.objects.using(using)
    members.bulk_create(
        SeriesMember(series=changed, user_id=each.user_id, permission=each.permission)
        for each in members.filter(series=series)
    )
    series.sessions.filter(occurrence__gte=begin).update(series=changed)
    series.exceptions.filter(date__gte=begin.date()).update(series=changed)
    log = OccurrenceLog.objects.using(using).filter(series_uid=series.uid, occurrence__gte=begin)
    log.update(series_uid=changed.uid)


def _carry_out(outcome: Outcome, changed: SessionSeries, now: datetime, using: str) -> None:
    log, sessions = OccurrenceLog.objects.using(using), Session.objects.using(using)

    def among(rows: Iterable[Session]) -> Any:
        return sessions.filter(AmongKeys(F("pk"), [session.pk for session in rows]))

    log.note(Event.CANCELLED, among(outcome.removed), now)
    among(outcome.removed).delete()
    among(outcome.changed).update(occurrence=None)  # they may change places
    for session in outcome.changed:
        session.updated_at = as_stored(now)
    sessions.bulk_update(outcome.changed, [*OF_SESSION, "updated_at"], batch_size=500)
    log.note(Event.MOVED, among(outcome.moved), now)
    if outcome.added:
        Creator(now, using).create([Part(changed, outcome.added, outcome.added[-1][0])])
