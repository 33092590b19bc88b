"""Unusual days: what lies outside the median ± k·MAD of its kind. Pure.

A day's kind is its weekday: it is judged by how far it is from the median of the other days of that
weekday, beside the median of how far all days are from theirs (the MAD). A few wild days move neither
(Rousseeuw and Croux, Alternatives to the Median Absolute Deviation, 1993).
"""

from collections.abc import Mapping
from datetime import date
from statistics import median

from session_cleanup.analytics.figures import Anomaly

FEWEST_DAYS = 14  # fewer say nothing about what is usual
LEAST_MAD = 1.0  # sessions: where every day was the same, one session more is not unusual


def weekdays(created: Mapping[date, int]) -> list[float | None]:
    """The median of each weekday, Monday first; None where no such day is known."""
    counts: list[list[int]] = [[] for _ in range(7)]
    for day, count in created.items():
        counts[day.weekday()].append(count)
    return [float(median(each)) if each else None for each in counts]


def anomalies(created: Mapping[date, int], k: float) -> list[Anomaly]:
    usual = {day: expected for day in created if (expected := _usual(created, day)) is not None}
    if len(usual) < FEWEST_DAYS:
        return []
    band = k * max(median(abs(created[day] - usual[day]) for day in usual), LEAST_MAD)
    return [
        Anomaly(
            day=day.isoformat(),
            created=created[day],
            low=max(usual[day] - band, 0.0),
            high=usual[day] + band,
        )
        for day in sorted(usual)
        if abs(created[day] - usual[day]) > band
    ]


def _usual(created: Mapping[date, int], day: date) -> float | None:
    """The median of the other days of its weekday: were it one of them, it would hide itself."""
    others = [count for other, count in created.items() if other != day and (other - day).days % 7 == 0]
    return float(median(others)) if others else None
