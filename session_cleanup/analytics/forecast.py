"""What becomes due in the next days, when a backlog will be gone, and how often to run. Pure."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from session_cleanup.analytics.figures import Due
from session_cleanup.analytics.months import DAY
from session_cleanup.policies.cron import ANY_DATE, next_times, parse

ROOM = 1.2  # a schedule has so much more capacity than it needs now
CATCH_UP_DAYS = 7  # in which a suggested schedule works off the backlog
CALENDAR_DAYS = 28 * 365 + 7  # after 28 years weekdays fall on the same dates again
# Runs a day, and the fields of minute and hour for that; the minute given takes the place of "m".
SUGGESTED = {
    1: "m h",
    2: "m */12",
    3: "m */8",
    4: "m */6",
    6: "m */4",
    8: "m */3",
    12: "m */2",
    24: "m *",
    48: "*/30 *",
    96: "*/15 *",
    288: "*/5 *",
}


def forecast(
    created: Mapping[date, int],
    usual: Sequence[float | None],
    *,
    today: date,
    lifetime: timedelta,
    days: int,
) -> list[Due]:
    """Sessions that become due on each of the `days` after `today`: those made `lifetime` before.

    Where that is today or later, as many are expected as are usual on such a weekday.
    """
    found = []
    for number in range(1, days + 1):
        day = today + number * DAY
        made = day - lifetime
        counted = made < today
        sessions = created.get(made, 0) if counted else round(usual[made.weekday()] or 0)
        found.append(Due(day=day.isoformat(), sessions=sessions, counted=counted))
    return found


def runs_a_day(cron: str) -> float:
    """On average."""
    parsed = parse(cron)
    days = sum(parsed.falls_on(ANY_DATE + number * DAY) for number in range(CALENDAR_DAYS))
    return len(parsed.hours) * len(parsed.minutes) * days / CALENDAR_DAYS


def gone_on(today: date, backlog: int, intake: float, capacity: float | None) -> date | None:
    """The day on which runs that remove `capacity` rows a day have caught up; None: never.

    With no `capacity` they were never limited: the next one takes all.
    """
    if not backlog:
        return today
    if capacity is None:
        return today + DAY
    ahead = capacity - intake
    days = math.ceil(backlog / ahead) if ahead > 0 else math.inf
    return today + days * DAY if days <= 3650 else None


def suggested(cron: str, needed: float) -> str:
    """A schedule like `cron` that runs at least `needed` times a day, or every five minutes."""
    runs = next((runs for runs in SUGGESTED if runs >= needed), max(SUGGESTED))
    first = next_times(cron, ANY_DATE, 1)[0]
    fields = SUGGESTED[runs].replace("m", str(first.minute)).replace("h", str(first.hour))
    return f"{fields} * * *"
