"""Cron expressions said to systemd, and to every cron daemon."""

import re
from datetime import timedelta
from itertools import pairwise

from session_cleanup.policies.cron import ANY_DATE, next_times, parse

WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
MONDAY_FIRST = [1, 2, 3, 4, 5, 6, 0]  # systemd's order: it refuses Sun..Tue
HIGHEST = [59, 23, 31, 12, 7]


def shortest_gap(cron: str) -> timedelta:
    """The shortest time between two starts in a row."""
    times = next_times(cron, ANY_DATE, 200)
    return min((later - earlier for earlier, later in pairwise(times)), default=timedelta(days=365))


def on_calendar(cron: str) -> list[str]:
    """The values of systemd's OnCalendar= that together give exactly the times of `cron`.

    Where cron takes day of month OR day of week, systemd needs a line for each.
    """
    parsed = parse(cron)
    month, day = spans(parsed.months, 1, 12), spans(parsed.days, 1, 31)
    time = f"{spans(parsed.hours, 0, 23)}:{spans(parsed.minutes, 0, 59)}:00 UTC"
    names = ",".join(WEEKDAYS[number] for number in MONDAY_FIRST if number in parsed.weekdays)
    weekdays = f"{names} " if len(parsed.weekdays) < 7 else ""
    if parsed.either:
        return [f"*-{month}-{day} {time}", f"{weekdays}*-{month}-* {time}"]
    return [f"{weekdays}*-{month}-{day} {time}"]


def spans(values: list[int], low: int, high: int) -> str:
    """Sorted values as systemd writes them: '*', '00/6', '01..05,20'.

    A step only where it divides the whole cycle: with '*:00/14' systemd 252 skips midnight.
    """
    if values == list(range(low, high + 1)):
        return "*"
    step = values[1] - values[0] if len(values) > 2 else 1
    whole = (high - low + 1) % step == 0
    if step > 1 and whole and values == list(range(values[0], high + 1, step)):
        return f"{values[0]:02}/{step}"
    return ",".join(f"{a:02}..{b:02}" if a < b else f"{a:02}" for a, b in runs(values))


def runs(values: list[int]) -> list[tuple[int, int]]:
    """First and last of each unbroken run in sorted values."""
    found: list[tuple[int, int]] = []
    for value in values:
        if found and value == found[-1][1] + 1:
            found[-1] = (found[-1][0], value)
        else:
            found.append((value, value))
    return found


def crontab_fields(cron: str) -> str:
    """The expression as every cron daemon accepts it.

    Debian's refuses 5/15, Railway knows no 7 for Sunday. A leading star stays: it is what makes
    cron take day of month AND day of week.
    """
    parsed = parse(cron)
    values = (parsed.minutes, parsed.hours, parsed.days, parsed.months, parsed.weekdays)
    return " ".join(
        re.sub(r"(?<![-\w])(\w+)/", rf"\1-{high}/", field)
        if field.startswith("*")
        else ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in runs(numbers))
        for field, numbers, high in zip(cron.split(), values, HIGHEST, strict=True)
    )
