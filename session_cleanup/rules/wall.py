"""Wall times: what the clock on the wall shows in a zone, and the moment that is."""

from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from session_cleanup.exceptions import RuleError


@lru_cache
def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name. Raises RuleError when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # none, no name, or the name of a directory of them
        close = get_close_matches(name, available_timezones(), n=1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        raise RuleError(
            f"There is no time zone {name!r}.{guess} Give a name such as 'Europe/Berlin'."
        ) from None


def moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment in UTC at which the clocks of `zone` show `wall`.

    A time that they skip is moved forward by what they skip; of a time that they show twice it is the first
    (PEP 495, fold=0: the offset before the change).
    """
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def wall_time(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clocks of `zone` show at that moment, without a zone."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which that day begins in `zone`."""
    return moment(datetime.combine(day, time.min), zone)
