"""Which parts of a rule go together, and how often it may come true."""

from typing import Any

from session_cleanup.exceptions import RuleError
from session_cleanup.rules.parts import shown

MOST_A_DAY = 48
MOST_WEEKS = 5  # of a month have the same weekday
# The parts that RFC 5545 does not allow with a frequency, and those that we do not.
NOT_WITH = {
    "YEARLY": {},
    "MONTHLY": {"BYWEEKNO", "BYYEARDAY"},
    "WEEKLY": {"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY"},
    "DAILY": {"BYWEEKNO", "BYYEARDAY"},
    "HOURLY": {"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS"},
}


def refuse_unfit(parts: dict[str, Any]) -> None:
    """Raise RuleError for parts that do not make a rule."""
    frequency = parts.get("FREQ")
    if frequency not in NOT_WITH:
        raise RuleError(
            f"FREQ is {shown(frequency) if frequency else frequency}. Choose one of {', '.join(NOT_WITH)}."
        )
    for name in parts:
        if name in NOT_WITH[frequency]:
            cure = "Write FREQ=DAILY with the hours as BYHOUR" if frequency == "HOURLY" else "Leave it out"
            raise RuleError(f"{name} does not go with FREQ={frequency}. {cure}.")
    if "COUNT" in parts and "UNTIL" in parts:
        raise RuleError("COUNT and UNTIL exclude each other. Give one of them.")
    if "BYSETPOS" in parts and not any(name.startswith("BY") and name != "BYSETPOS" for name in parts):
        raise RuleError("BYSETPOS picks from what another part gives. Add one, such as BYDAY=MO,TU.")
    if "BYWEEKNO" in parts and "BYDAY" not in parts:
        raise RuleError("BYWEEKNO names whole weeks. Add the days of them, such as BYDAY=MO.")
    ordinals = [abs(day.n) for day in parts.get("BYDAY", ()) if day.n]
    if ordinals and (frequency == "MONTHLY" or "BYMONTH" in parts) and max(ordinals) > MOST_WEEKS:
        raise RuleError(f"BYDAY has {max(ordinals)}, and a month has a weekday {MOST_WEEKS} times at most.")
    if ordinals and (frequency not in ("MONTHLY", "YEARLY") or "BYWEEKNO" in parts):
        raise RuleError("BYDAY has numbers only with FREQ=MONTHLY, or YEARLY without BYWEEKNO.")
    hours = len(parts.get("BYHOUR", range(24) if frequency == "HOURLY" else [0]))
    if (times := hours * len(parts.get("BYMINUTE", [0]))) > MOST_A_DAY:
        raise RuleError(f"It would happen {times} times a day, and {MOST_A_DAY} are the most.")
