"""Series and their sessions: to be generated, to be activated, to be closed, missed, and long over."""

from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta

from session_cleanup.conf import conf
from session_cleanup.models import Session, SessionSeries
from session_cleanup.rules.wall import wall_time, zone_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OCCURRENCES = 60
RULES = {
    "stand-up": "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
    "retrospective": "FREQ=MONTHLY;BYDAY=-1FR",
    "inventory": "FREQ=MONTHLY;BYMONTHDAY=-1",
    "breakfast": "FREQ=DAILY;INTERVAL=2",
}
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Sydney", "UTC")


def series(now: datetime, mark: str) -> list[SessionSeries]:
    """They go on from the day after tomorrow, so that what is generated has not begun yet."""
    return [
        SessionSeries(
            name=f"{mark}{name}",
            rule=rule,
            time_zone=zone,
            first_date=(now + 2 * DAY).date(),
            start_time=time(9),
            duration=HOUR,
            settings={"room": name},
        )
        for (name, rule), zone in zip(RULES.items(), ZONES, strict=True)
    ]


def sessions(series: Sequence[SessionSeries], now: datetime) -> Iterator[Session]:
    """Of every kind some; every tenth begins or ends just now, which is not due yet."""
    long_ago = now - timedelta(days=conf.ARCHIVE_DAYS)
    for number in range(OCCURRENCES):
        owner = series[number % len(series)]
        step = number // 5 * 4 * HOUR
        ended = None
        match number % 5:
            case 0:  # has begun, or begins just now
                begins = now - (0 if number % 10 else 1) * HOUR / 2
            case 1:  # over, as of now or for some time
                begins = now - HOUR - (step if number % 10 == 1 else timedelta(0))
            case 2:  # over, and nothing has activated it
                begins = now - DAY - step
            case 3:  # closed, some of it long ago
                ended = (long_ago if number % 10 == 3 else now) - step - HOUR
                begins = ended - HOUR
            case _:  # to come
                begins = now + HOUR + step
        wall = wall_time(begins, zone_of(owner.time_zone))
        yield Session(
            kind=Session.Kind.RECURRING,
            title=owner.title(wall),
            series=owner,
            occurrence=wall + timedelta(microseconds=number),
            starts_at=begins,
            visible_at=begins,
            expires_at=begins + HOUR,
            is_active=number % 5 == 1,
            ended_at=ended,
            end_reason=Session.EndReason.EXPIRED if ended else "",
            created_at=now - 200 * DAY,
        )
