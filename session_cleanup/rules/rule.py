"""Recurrence rules of RFC 5545, section 3.3.10, in wall time.

A rule is refused before anything expands it if it never comes true, comes true too often, or would keep
its expansion busy for long (dateutil never returns from INTERVAL=0).
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from dateutil import rrule

from session_cleanup.exceptions import RuleError
from session_cleanup.rules.fitting import MOST_WEEKS, refuse_unfit
from session_cleanup.rules.parts import Moment, read, shown, written

LONGEST = 10_000  # characters
EARLIEST = 1900  # so that counting from the first start takes no seconds
# The calendar repeats itself, weekdays included. dateutil counts up to the year 9999, so a rule is moved to
# its end: then one that never comes true is known after at most 500 years instead of 8,000.
CALENDAR = 400
DAYS_OF_IT = timedelta(days=146_097)
LEFT = 100  # years that are to lie before the end at least
HOURLY_LEFT = 30  # enough to come upon every weekday and hour that an interval of hours can
DAYS_OF_MONTH = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
MONTHS = {"MONTHLY": 1, "YEARLY": 12}
DAY_PARTS = {"BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"}
STEPS = {"HOURLY": timedelta(hours=1), "DAILY": timedelta(days=1), "WEEKLY": timedelta(weeks=1)}
DATEUTIL = {
    "INTERVAL": "interval",
    "COUNT": "count",
    "BYSETPOS": "bysetpos",
    "BYMONTH": "bymonth",
    "BYMONTHDAY": "bymonthday",
    "BYYEARDAY": "byyearday",
    "BYWEEKNO": "byweekno",
    "BYDAY": "byweekday",
    "BYHOUR": "byhour",
    "BYMINUTE": "byminute",
    "WKST": "wkst",
}


@dataclass(frozen=True)
class Rule:
    """When something begins, as wall times from a first one on.

    The text is "FREQ=WEEKLY;BYDAY=MO" or has lines "RRULE:…" and "EXDATE:…"; times in it are wall times
    of the series' own zone, or UTC with a Z. A date as UNTIL or in EXDATE stands for the whole day.
    """

    parts: dict[str, Any]
    exdates: tuple[Moment, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """Read a rule. Raises RuleError that says which part is wrong, and what to write."""
        return _parsed(text)

    def __str__(self) -> str:
        lines = [";".join(f"{name}={written(value)}" for name, value in self.parts.items())]
        if self.exdates:
            lines = [f"RRULE:{lines[0]}", f"EXDATE:{','.join(written(each) for each in self.exdates)}"]
        return "\n".join(lines)

    def until(self, last: datetime | None, count: int | None = None) -> "Rule":
        """This rule with another end: a wall time, or a number of times, or none."""
        parts = {name: value for name, value in self.parts.items() if name not in ("UNTIL", "COUNT")}
        if last is not None:
            parts["UNTIL"] = Moment(last)
        if count is not None:
            parts["COUNT"] = count
        return Rule(parts, self.exdates)

    @property
    def count(self) -> int | None:
        return self.parts.get("COUNT")

    def last(self, first: datetime, zone: ZoneInfo) -> datetime | None:
        """The wall time after which nothing begins; None where it goes on for ever."""
        if "UNTIL" in self.parts:
            end: datetime = self.parts["UNTIL"].in_zone(zone, last=True)
            return end
        found = deque(self._expanded(first, zone), maxlen=1) if self.count else ()
        return found[0] if found else None

    def check(self, first: datetime) -> None:
        """Raise RuleError if nothing ever happens, counted from that first wall time on."""
        if first.year < EARLIEST:
            raise RuleError(f"It begins in the year {first.year}. Begin in {EARLIEST} or later.")
        found = next(self._expanded(first, None, forever=True), None)
        until = self.parts.get("UNTIL")
        if found is None or (until and next(self.until(None)._expanded(first, None)) > until.latest):
            raise self._never(first)

    def notice(self, first: date) -> str | None:
        """What may surprise about it: the months that it skips."""
        parts = self.parts
        every = "BYMONTHDAY" in parts or parts["FREQ"] == "MONTHLY"
        if {"BYDAY", "BYYEARDAY"} & set(parts) or not (every or parts["FREQ"] == "YEARLY"):
            return None
        months = parts.get("BYMONTH", range(1, 13) if every else [first.month])
        days = parts.get("BYMONTHDAY", [first.day])
        skipped = [day for day in map(abs, days) if any(day > DAYS_OF_MONTH[month] for month in months)]
        if not skipped:
            return None
        return (
            f"Months without a day {min(skipped)} are skipped. For the last day of each month write "
            "BYMONTHDAY=-1."
        )

    def between(
        self, first: datetime, after: datetime, before: datetime, zone: ZoneInfo
    ) -> Iterator[datetime]:
        """The wall times from `first` on with after <= time < before, in order."""
        days = {each.on for each in self.exdates if each.whole_day}
        times = {each.in_zone(zone) for each in self.exdates if not each.whole_day}
        for found in self._expanded(first, zone, after):
            if found >= before:
                return
            if found >= after and found.date() not in days and found not in times:
                yield found

    def _expanded(
        self, first: datetime, zone: ZoneInfo | None, after: datetime | None = None, *, forever: bool = False
    ) -> Iterator[datetime]:
        """Wall times from `first` on, beginning somewhere before `after` if it can begin there."""
        parts, frequency = self.parts, self.parts["FREQ"]
        years = (9999 - LEFT - first.year) // CALENDAR
        moved = max(years, 0) * DAYS_OF_IT
        if forever and frequency == "HOURLY":
            after = datetime(9999 - HOURLY_LEFT, 1, 1) - moved
        start = first
        if after is not None and (forever or "COUNT" not in parts):
            start = self._near(first, after)
        given = self._given(first)
        if frequency == "WEEKLY" and "BYSETPOS" in parts:
            start = self._whole_week(start, first, given)
        if forever:
            given.pop("count", None)
        elif "UNTIL" in parts:
            given["until"] = min(parts["UNTIL"].in_zone(zone, last=True), datetime.max - moved) + moved
        try:
            expanded = rrule.rrule(getattr(rrule, frequency), dtstart=start + moved, **given)
        except ValueError as error:  # dateutil sees that an interval of hours never meets BYHOUR
            raise self._never(first) from error
        return (found - moved for found in expanded if found - moved >= first)

    def _never(self, first: datetime) -> RuleError:
        return RuleError(
            f"The rule {shown(str(self))} never comes true from {first:%Y-%m-%d} on. Give one that does."
        )

    def _near(self, first: datetime, after: datetime) -> datetime:
        """Where to begin instead of `first`, for the same times from `after` on: the first period may be
        cut off, so it is the one before, or an earlier one."""
        interval: int = self.parts.get("INTERVAL", 1)
        if months := MONTHS.get(self.parts["FREQ"]):
            behind = (after.year - first.year) * 12 + after.month - first.month
            periods = behind // (months * interval) - 1
            if periods < 1:
                return first
            years, month = divmod(first.month - 1 + periods * months * interval, 12)
            month = 0 if months > 1 else month
            return first.replace(year=first.year + years, month=month + 1, day=1)
        step = STEPS[self.parts["FREQ"]] * interval
        return first + max((after - first) // step - 1, 0) * step

    def _whole_week(self, start: datetime, first: datetime, given: dict[str, Any]) -> datetime:
        """The beginning of the week of `start`: dateutil counts positions from there on only."""
        given.setdefault("byweekday", first.weekday())
        week = start - timedelta(days=(start.weekday() - self.parts.get("WKST", rrule.MO).weekday) % 7)
        if "count" in given:  # not of what lies before the first start
            until = first - timedelta(microseconds=1)
            given["count"] += len(
                list(rrule.rrule(rrule.WEEKLY, week, **{**given, "count": None, "until": until}))
            )
        return week

    def _given(self, first: datetime) -> dict[str, Any]:
        """The parts as dateutil takes them, with what they take from the first start."""
        parts = self.parts
        given = {name: parts[part] for part, name in DATEUTIL.items() if part in parts}
        if "BYDAY" in parts:
            given["byweekday"] = self._weekdays()
        if parts["FREQ"] in MONTHS and not DAY_PARTS & set(parts):
            given["bymonthday"] = first.day
            if parts["FREQ"] == "YEARLY":
                given.setdefault("bymonth", first.month)
        return given

    def _weekdays(self) -> list[Any]:
        """The days as dateutil takes them: among days with numbers it forgets those without."""
        days = self.parts["BYDAY"]
        if not any(day.n for day in days):
            return list(days)
        most = 53 if self.parts["FREQ"] == "YEARLY" and "BYMONTH" not in self.parts else MOST_WEEKS
        return [each for day in days for each in ([day] if day.n else map(day, range(1, most + 1)))]


@lru_cache(maxsize=1000)
def _parsed(text: str) -> Rule:
    if len(text) > LONGEST or not text.isascii():
        raise RuleError(
            f"The rule {shown(text)} has {len(text)} characters. Write it in ASCII, with {LONGEST} at most; "
            "single days without a session are exceptions of the series."
        )
    parts: dict[str, Any] = {}
    exdates: list[Moment] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, _, rest = line.rpartition(":")
        if name.upper() in ("RRULE", "") and not parts:
            parts = read(rest)
        elif name.upper() in ("EXDATE", "EXDATE;VALUE=DATE"):
            exdates += [Moment.parse(each, "EXDATE") for each in rest.split(",")]
        else:
            raise RuleError(
                f"The line {shown(line)} of a rule is not understood. Write one line such as "
                "FREQ=WEEKLY;BYDAY=MO, and EXDATE: lines after it."
            )
    refuse_unfit(parts)
    return Rule(parts, tuple(exdates))
