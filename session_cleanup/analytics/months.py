"""Calendar months in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from session_cleanup.exceptions import ConfigurationError

FORM = re.compile(r"[0-9]{4}-[0-9]{2}")
DAY = timedelta(days=1)


@dataclass(frozen=True, order=True)
class Month:
    """A month, by its first day."""

    first: date

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        return cls(moment.astimezone(UTC).date().replace(day=1))

    @classmethod
    def ended_before(cls, moment: datetime) -> "Month":
        """The last month that was over at that moment."""
        return cls.of(moment).before

    @classmethod
    def parse(cls, text: str) -> "Month":
        """The month of a text such as "2026-01"."""
        try:
            if not FORM.fullmatch(text):
                raise ValueError
            return cls(date.fromisoformat(f"{text}-01"))
        except ValueError:
            raise ConfigurationError(
                f"--month is {text!r}. Give a year and a month, such as 2026-01."
            ) from None

    @property
    def before(self) -> "Month":
        return Month((self.first - DAY).replace(day=1))

    @property
    def after(self) -> "Month":
        return Month((self.first + 31 * DAY).replace(day=1))

    @property
    def start(self) -> datetime:
        return datetime(self.first.year, self.first.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment that is not in it."""
        return self.after.start

    @property
    def days(self) -> list[date]:
        return [self.first + number * DAY for number in range((self.after.first - self.first).days)]

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"
