"""Patterns as other systems keep them, in JSON, and the rules that they mean."""

from collections.abc import Mapping
from typing import Any

from session_cleanup.exceptions import RuleError

SUNDAY_FIRST = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")
KEYS = {"daily": None, "weekly": "days", "monthly": "dates"}


def rule_of(pattern: Mapping[str, Any]) -> str:
    """The rule that {"type": "daily"}, {"type": "weekly", "days": [0-6]} (0: Sunday) or
    {"type": "monthly", "dates": [1-31]} means. Raises RuleError for anything else.

    Months that lack a date are skipped, as Rule.notice says of it.
    """
    kind = pattern.get("type") if isinstance(pattern, Mapping) else None
    if not isinstance(kind, str) or kind not in KEYS or set(pattern) - {"type", KEYS[kind]}:
        raise RuleError(
            f'The pattern {pattern!r} is not known. Give {{"type": "daily"}}, {{"type": "weekly", "days": '
            '[1, 3]}} with 0 for Sunday, or {{"type": "monthly", "dates": [1, 15]}}.'
        )
    if kind == "daily":
        return "FREQ=DAILY"
    if kind == "weekly":
        days = _numbers(pattern, "days", 0, 6)
        return f"FREQ=WEEKLY;BYDAY={','.join(SUNDAY_FIRST[day] for day in days)}"
    return f"FREQ=MONTHLY;BYMONTHDAY={','.join(map(str, _numbers(pattern, 'dates', 1, 31)))}"


def _numbers(pattern: Mapping[str, Any], key: str, low: int, high: int) -> list[int]:
    values = pattern.get(key)
    if not isinstance(values, list) or not values:
        raise RuleError(f"The pattern {pattern!r} names no {key}. Give a list of numbers, {low} to {high}.")
    for value in values:
        if type(value) is not int or not low <= value <= high:
            raise RuleError(f"The pattern {pattern!r} has {value!r} among its {key}: {low} to {high} are.")
    return sorted(set(values))
