"""The browser sessions in figures: one statement that reads the table once, and groups it by what they are
and by days.

A session has expired SESSION_CLEANUP_EXPIRY_DAYS after it was made, or at its `expires_at` if that comes
first.
"""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import (
    Case,
    Count,
    DateField,
    F,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)

from session_cleanup.analytics.asking import asked
from session_cleanup.analytics.expressions import Day
from session_cleanup.analytics.months import DAY, Month
from session_cleanup.conf import conf
from session_cleanup.models import Session
from session_cleanup.models.history import as_stored

WEEK = timedelta(days=7)
FORECAST_DAYS = 30
# What a session is, as the first statement tells: overdue for browser-expired, expired otherwise, active
# and used in the last seven days or not, ended.
DUE, RUN_OUT, USED, IDLE, ENDED = range(5)
ACTIVE, INACTIVE, EXPIRED = {USED, IDLE}, {ENDED}, {DUE, RUN_OUT}
# What its payload is: too young to be compressed, compressed, plain, or encrypted or none.
YOUNG, PACKED, PLAIN, OTHER = range(4)


@dataclass(frozen=True)
class Moments:
    """The moments that decide, for the month `month` as of `now`."""

    month: Month
    now: datetime

    @property
    def lifetime(self) -> timedelta:
        return timedelta(days=conf.EXPIRY_DAYS)

    @property
    def horizon(self) -> datetime:
        """What was made before is deleted by now, or due."""
        return self.now - self.lifetime

    def expired_by(self, moment: datetime) -> Q:
        return Q(created_at__lt=as_stored(moment - self.lifetime)) | Q(expires_at__lt=as_stored(moment))

    @property
    def lived(self) -> Q:
        """Sessions with some of their life in the month."""
        begun, ended = (
            Q(created_at__lt=as_stored(self.month.end)),
            Q(ended_at__lt=as_stored(self.month.start)),
        )
        return begun & ~ended & ~self.expired_by(self.month.start)

    @property
    def ran_out(self) -> Q:
        """Of those, the ones that expired in it, and were not ended by somebody before."""
        return self.expired_by(self.month.end) & (Q(ended_at__isnull=True) | Q(end_reason="expired"))


class Kind(NamedTuple):
    """Sessions that are alike; `sized`: whether the size of the payload is known."""

    state: int
    valid: bool | None
    form: int
    sized: bool


@dataclass(frozen=True)
class Tally:
    """What the first statement tells: sums by kind and name, sessions by day."""

    sums: dict[Kind, dict[str, float]]
    created: Counter[date]
    accessed: Counter[date]

    def sum(self, name: str, states: Collection[int] = range(5), **of: Any) -> int:
        """Of the sessions in these states that are so, such as sum("decoded", form=PLAIN)."""
        return int(
            sum(
                sums[name]
                for kind, sums in self.sums.items()
                if kind.state in states and of.items() <= kind._asdict().items()
            )
        )


def tally(using: str, moments: Moments) -> Tally | None:
    groups = asked(using, lambda: list(_by_state_and_days(using, moments)))
    if groups is None:
        return None
    found = Tally({}, Counter(), Counter())
    for group in groups:
        created, accessed = group.pop("made_on"), group.pop("accessed_on")
        kind = Kind(*(group.pop(name) for name in Kind._fields))
        sums = found.sums.setdefault(kind, defaultdict(float))
        sums["seconds"] += group.pop("age").total_seconds()
        for name, value in group.items():
            sums[name] += value or 0
        found.created[created] += group["sessions"]
        found.accessed[accessed] += group["sessions"]
    return found


def _by_state_and_days(using: str, moments: Moments) -> QuerySet[Any, Any]:
    """Groups of sessions. What a row is, is asked once, to group by it; days that nobody asks for are NULL,
    so there are only so many groups."""
    month = moments.month
    to_come = Q(
        created_at__gte=_day(moments.horizon), created_at__lt=_day(moments.horizon, FORECAST_DAYS + 1)
    )
    in_month = Q(created_at__gte=as_stored(month.start), created_at__lt=as_stored(month.end))
    used_in_month = Q(last_activity_at__gte=as_stored(month.start), last_activity_at__lt=as_stored(month.end))
    return (
        browser_sessions(using)
        .order_by()
        .values(
            state=_state(moments),
            valid=F("payload_valid"),
            form=_form(moments),
            sized=Case(When(payload_size__isnull=False, then=True), default=False),
            made_on=Case(When(in_month | to_come, then=Day("created_at")), output_field=DateField()),
            accessed_on=Case(When(used_in_month, then=Day("last_activity_at")), output_field=DateField()),
        )
        .annotate(
            sessions=Count("pk"),
            lived=Count("pk", filter=moments.lived),
            ran_out=Count("pk", filter=moments.lived & moments.ran_out),
            decoded=Sum("payload_size"),
            stored=Sum("payload__stored_size"),
            age=Sum(Value(as_stored(moments.now)) - F("created_at")),
        )
    )


def browser_sessions(using: str) -> QuerySet[Session]:
    return Session._base_manager.using(using).filter(kind=Session.Kind.BROWSER)


def _state(moments: Moments) -> Case:
    return Case(
        When(created_at__lt=as_stored(moments.horizon), then=DUE),
        When(moments.expired_by(moments.now), then=RUN_OUT),
        When(is_active=False, then=ENDED),
        When(last_activity_at__gte=as_stored(moments.now - WEEK), then=USED),
        default=IDLE,
    )


def _form(moments: Moments) -> Case:
    old = as_stored(moments.now - timedelta(days=conf.COMPRESS_DAYS))
    return Case(
        When(created_at__gte=old, then=YOUNG),
        When(payload__is_packed=True, then=PACKED),
        When(payload__is_packable=True, then=PLAIN),
        default=OTHER,
    )


def _day(moment: datetime, later: int = 0) -> datetime:
    """The beginning of that day in UTC, or of one some days later."""
    return as_stored(moment.replace(hour=0, minute=0, second=0, microsecond=0) + later * DAY)
