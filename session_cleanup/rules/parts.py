"""The parts of a recurrence rule, read one by one and written back."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil import rrule

from session_cleanup.exceptions import RuleError
from session_cleanup.rules.wall import wall_time

MOMENT = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DAY = re.compile(rf"([+-]?\d{{1,2}})?({'|'.join(WEEKDAYS)})")
NUMBER = re.compile(r"[+-]?\d{1,5}")
AHEAD = timedelta(hours=14)  # of UTC, the clocks of any zone at most
MOST_POSITIONS = 31  # each costs time on each day that a rule looks at
SHOWN = 60  # characters of what is wrong


def shown(text: str) -> str:
    """It, or its beginning, as an error shows it."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


@dataclass(frozen=True)
class Moment:
    """A time in a rule: a wall time, a moment in UTC, or a whole day."""

    at: datetime  # aware: in UTC
    whole_day: bool = False

    @classmethod
    def parse(cls, text: str, part: str) -> "Moment":
        found = MOMENT.fullmatch(text.strip())
        try:
            if not found:
                raise ValueError
            day, clock, utc = found.groups()
            at = datetime.strptime(day + (clock or "000000"), "%Y%m%d%H%M%S")
        except ValueError:
            raise RuleError(
                f"{part} has {shown(text)}. Write a date as 20260131, a wall time as 20260131T090000, or one "
                "in UTC with a Z behind it."
            ) from None
        return cls(at.replace(tzinfo=UTC) if utc else at, whole_day=clock is None)

    @property
    def on(self) -> date:
        return self.at.date()

    def in_zone(self, zone: ZoneInfo, *, last: bool = False) -> datetime:
        """The wall time; with `last`, of a whole day its end."""
        if self.whole_day and last:
            return datetime.combine(self.at, time.max)
        try:
            return self.at if self.at.tzinfo is None else wall_time(self.at, zone)
        except OverflowError:  # the calendar ends there: 99991231T235959Z, for ever
            return self.at.replace(tzinfo=None)

    @property
    def latest(self) -> datetime:
        """The last wall time that it can be, in whichever zone."""
        if self.whole_day:
            return datetime.combine(self.at, time.max)
        wall = self.at.replace(tzinfo=None)
        return wall if self.at.tzinfo is None else min(wall, datetime.max - AHEAD) + AHEAD

    def __str__(self) -> str:
        text = self.at.replace(tzinfo=None).isoformat().translate({ord("-"): None, ord(":"): None})
        return text[:8] if self.whole_day else text + ("Z" if self.at.tzinfo else "")


def _numbers(
    low: int, high: int, *, negative: bool = False, most: int | None = None
) -> Callable[[str, str], list[int]]:
    def read(text: str, name: str) -> list[int]:
        numbers = [_number(each, name, low, high, negative=negative) for each in text.split(",")]
        if most and len(numbers) > most:
            raise RuleError(f"{name} has {len(numbers)} numbers, and {most} are the most.")
        return list(dict.fromkeys(numbers))

    return read


def _number(text: str, name: str, low: int, high: int, *, negative: bool = False) -> int:
    value = int(text) if NUMBER.fullmatch(text) else 0 if low else -1
    if not (low <= value <= high or (negative and low <= -value <= high)):
        behind = " or the same below zero" if negative else ""
        raise RuleError(f"{name} has {shown(text)}. Give a whole number from {low} to {high}{behind}.")
    return value


def _one(low: int, high: int) -> Callable[[str, str], int]:
    return lambda text, name: _number(text, name, low, high)


def _days(text: str, name: str) -> list[Any]:
    found = [DAY.fullmatch(each) for each in text.split(",")]
    numbers = [int(each[1] or 1) for each in found if each]
    if not all(found) or not all(1 <= abs(number) <= 53 for number in numbers):
        raise RuleError(
            f"{name} has {shown(text)}. Give days such as MO,WE, or 1MO for the first Monday and -1FR for "
            "the last Friday."
        )
    days = [getattr(rrule, each[2])(int(each[1]) if each[1] else None) for each in found if each]
    return list(dict.fromkeys(days))


def _week_start(text: str, name: str) -> Any:
    if text not in WEEKDAYS:
        raise RuleError(f"{name} is {shown(text)}. Choose one of {', '.join(WEEKDAYS)}.")
    return getattr(rrule, text)


PARTS: dict[str, Callable[[str, str], Any]] = {
    "FREQ": lambda text, name: text,
    "INTERVAL": _one(1, 1000),
    "COUNT": _one(1, 10_000),
    "UNTIL": Moment.parse,
    "BYMONTH": _numbers(1, 12),
    "BYWEEKNO": _numbers(1, 53, negative=True),
    "BYYEARDAY": _numbers(1, 366, negative=True),
    "BYMONTHDAY": _numbers(1, 31, negative=True),
    "BYDAY": _days,
    "BYHOUR": _numbers(0, 23),
    "BYMINUTE": _numbers(0, 59),
    "BYSETPOS": _numbers(1, 366, negative=True, most=MOST_POSITIONS),
    "WKST": _week_start,
}


def read(text: str) -> dict[str, Any]:
    """The parts of "FREQ=…;…" by name. Raises RuleError."""
    parts: dict[str, Any] = {}
    for part in text.upper().strip(";").split(";"):
        name, _, value = (each.strip() for each in part.partition("="))
        if name not in PARTS or name in parts:
            what = "is given twice" if name in parts else "is not known"
            raise RuleError(
                f"The part {shown(part)} of a rule {what}. A rule is made of {', '.join(PARTS)}, each at "
                "most once; its seconds are those of the first start."
            )
        parts[name] = PARTS[name](value, name)
    return parts


def written(value: Any) -> str:
    """A value as it is read."""
    if isinstance(value, list):
        return ",".join(map(written, value))
    if isinstance(value, rrule.weekday):
        return f"{value.n or ''}{WEEKDAYS[value.weekday]}"
    return str(value)
