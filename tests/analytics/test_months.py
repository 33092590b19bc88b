"""Months are those of UTC, and a report is of the one that ended."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from session_cleanup.analytics.months import Month
from session_cleanup.exceptions import ConfigurationError

EAST = timezone(timedelta(hours=14))


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (datetime(2026, 1, 1, 4, 0, tzinfo=UTC), "2025-12"),  # when the job runs
        (datetime(2026, 1, 1, 0, 0, tzinfo=UTC), "2025-12"),
        (datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC), "2025-11"),
        (datetime(2024, 3, 31, 12, 0, tzinfo=UTC), "2024-02"),
        (datetime(2026, 1, 1, 13, 59, tzinfo=EAST), "2025-11"),  # still December in UTC
    ],
)
def test_the_month_that_ended(moment, month):
    assert str(Month.ended_before(moment)) == month


def test_a_month_from_its_first_moment_to_the_first_of_the_next():
    month = Month.parse("2024-02")

    assert (month.start, month.end) == (datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))
    assert (month.days[0], month.days[-1], len(month.days)) == (date(2024, 2, 1), date(2024, 2, 29), 29)
    assert (str(month.before), str(month.after)) == ("2024-01", "2024-03")


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "26-01", "2026-1", "2026-01-01", "0000-01", "x"]
)
def test_what_is_no_month_is_refused(text):
    with pytest.raises(ConfigurationError, match="Give a year and a month, such as 2026-01"):
        Month.parse(text)
