"""Cron expressions as cron itself reads them: five fields, UTC."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise

from cronsim import CronSim, CronSimError

from session_cleanup.exceptions import ConfigurationError

FIELDS = "minute, hour, day of month, month, day of week"
ANY_DATE = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cron:
    """A parsed expression: the values each field allows, weekdays from 0 = Sunday."""

    minutes: list[int]
    hours: list[int]
    days: list[int]
    months: list[int]
    weekdays: list[int]
    either: bool  # both day fields are restricted: one of them suffices

    def falls_on(self, day: date) -> bool:
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        fits = of_month or of_week if self.either else of_month and of_week
        return fits and day.month in self.months


def parse(expression: str) -> Cron:
    """What a five-field cron expression means; ConfigurationError says what is wrong with it."""
    if len(expression.split()) != 5:
        raise refusal(expression, "it must have five fields")
    try:
        parsed = CronSim(expression, ANY_DATE)
    except (CronSimError, ValueError, AssertionError) as error:
        raise refusal(expression, str(error) or "a field cannot be read") from None
    weekdays = {day % 7 for day in parsed.weekdays if isinstance(day, int)}
    if min(parsed.days) < 0 or not all(isinstance(day, int) for day in parsed.weekdays):
        raise refusal(expression, "L, LW and # are known neither to cron nor to systemd")
    return Cron(
        sorted(parsed.minutes),
        sorted(parsed.hours),
        sorted(parsed.days),
        sorted(parsed.months),
        sorted(weekdays),
        either=not parsed.day_and,
    )


def refusal(expression: str, problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"Cron expression {expression!r}: {problem}. Give {FIELDS}, made of numbers, names, "
        "*, lists, ranges and steps, such as '0 */6 * * *' or '0 3 * * SUN'."
    )


def next_times(cron: str, after: datetime, count: int) -> list[datetime]:
    """The next `count` times (UTC) later than `after`; fewer if the next 50 years hold fewer."""
    parse(cron)
    return list(islice(CronSim(cron, after.astimezone(UTC)), count))


def last_time(cron: str, now: datetime) -> datetime | None:
    """The last time (UTC) that is not later than `now`; None if the last 50 years hold none."""
    parse(cron)
    just_after = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
    return next(CronSim(cron, just_after, reverse=True), None)


def interval(cron: str, now: datetime) -> timedelta:
    """From one time to the next: the longer one of those before and after the last time.

    So the interval of working days is three days at a weekend, and one on a Wednesday.
    """
    last = last_time(cron, now)
    before = last and last_time(cron, last - timedelta(seconds=1))
    times = [moment for moment in (before, last, *next_times(cron, now, 1)) if moment]
    return max((later - earlier for earlier, later in pairwise(times)), default=timedelta(days=365))
