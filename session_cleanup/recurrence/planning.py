"""What is to be generated of which series: expanded as it is asked for, a batch at a time."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from session_cleanup.conf import conf
from session_cleanup.models import SessionSeries
from session_cleanup.models.series import covered

Start = tuple[datetime, datetime]  # the moment in UTC, and the wall time
PAGE = 500  # series read at a time
# What decides when the sessions of a series are, and what they are like.
TERMS = (
    *("name", "kind", "rule", "time_zone", "first_date", "start_time", "duration", "visible_before"),
    *("is_active", "title_pattern", "settings", "generated_until"),
)


@dataclass
class Part:
    """Some starts of one series, in order; with them, all before `until` is generated."""

    series: SessionSeries
    starts: list[Start]
    until: datetime

    @property
    def size(self) -> int:
        """What it counts for in a batch."""
        return max(len(self.starts), 1)


def terms(series: SessionSeries) -> tuple[object, ...]:
    return tuple(getattr(series, name) for name in TERMS)


def aware(moment: datetime) -> datetime:
    """A moment of a column: naive where USE_TZ is False."""
    return moment.astimezone(UTC)


def planned(series: SessionSeries, now: datetime, days_ahead: int | None = None) -> Part:
    """What begins within the horizon, is not over, and was not generated. Raises RuleError."""
    until = covered(now, days_ahead or series.horizon_days or conf.HORIZON_DAYS)
    begin = now - series.duration
    if series.generated_until is not None:
        begin = max(begin, aware(series.generated_until))
    starts = series.starts(begin, until) if begin < until else []
    return Part(series, starts, max(begin, until))


@dataclass
class Planner:
    """Gives the parts of batches, series after series."""

    rows: Iterator[SessionSeries]
    now: datetime
    days_ahead: int | None = None
    bad: list[tuple[SessionSeries, Exception]] = field(default_factory=list)
    _rest: Part | None = None

    def take(self, size: int) -> list[Part]:
        """Parts with `size` starts in all, or as many as are left. A series counts at least as one."""
        parts: list[Part] = []
        while size > 0 and (part := self._next()) is not None:
            if len(part.starts) > size:
                part = self._cut(part, size)
            parts.append(part)
            size -= part.size
        return parts

    def leave(self, keys: Collection[int]) -> None:
        """Give nothing more of the series at hand if it is one of these."""
        if self._rest is not None and self._rest.series.pk in keys:
            self._rest = None

    def _next(self) -> Part | None:
        rest, self._rest = self._rest, None
        if rest is not None:
            return rest
        for series in self.rows:
            try:
                return planned(series, self.now, self.days_ahead)
            except Exception as error:  # nothing but this series is to blame: no database is asked here
                self.bad.append((series, error))
        return None

    def _cut(self, part: Part, size: int) -> Part:
        """The first starts of it; the others are left for the next batch."""
        starts = part.starts
        while size < len(starts) and starts[size][0] == starts[size - 1][0]:
            size += 1  # two wall times of one moment: clocks were set forward
        if size == len(starts):
            return part
        self._rest = Part(part.series, starts[size:], part.until)
        return Part(part.series, starts[:size], starts[size][0])
