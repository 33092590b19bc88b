"""Unusual days, by the median of their weekday and the MAD of all."""

from datetime import date, timedelta

import pytest

from session_cleanup.analytics.anomalies import anomalies, weekdays

FIRST = date(2025, 12, 1)  # a Monday


def month(*counts):
    """Counts of the days from the first on."""
    return {FIRST + timedelta(days=number): count for number, count in enumerate(counts)}


QUIET_WEEKENDS = [10, 10, 10, 10, 10, 2, 2] * 4


def test_the_median_of_each_weekday():
    assert weekdays(month(1, 5, 5, 5, 5, 5, 5, 3, 5, 5, 5, 5, 5, 5, 100)) == [3, 5, 5, 5, 5, 5, 5]


def test_a_weekday_of_which_no_day_is_known_has_none():
    assert weekdays(month(4, 6)) == [4, 6, None, None, None, None, None]
    assert weekdays({}) == [None] * 7


def test_a_month_like_any_other_has_none():
    assert anomalies(month(*QUIET_WEEKENDS), 5) == []


@pytest.mark.parametrize(("count", "unusual"), [(15, False), (16, True), (5, False), (4, True)])
def test_the_band_is_the_median_and_k_times_the_mad(count, unusual):
    """All other days are as usual, so the MAD is the least there is: one session."""
    found = anomalies(month(*[*QUIET_WEEKENDS[:8], count, *QUIET_WEEKENDS[9:]]), 5)

    expected = {"day": "2025-12-09", "created": count, "low": 5.0, "high": 15.0}
    assert found == ([expected] if unusual else [])


def test_days_that_differ_more_widen_the_band():
    """Each is 2 or 4 away from the median of the others of its weekday."""
    restless = month(*[*[10] * 7, *[14] * 7, *[12] * 7, *[12] * 7])
    assert anomalies({**restless, FIRST: 19}, 5) == []
    assert [each["day"] for each in anomalies({**restless, FIRST: 40}, 5)] == ["2025-12-01"]


def test_a_quiet_weekend_is_no_anomaly_but_a_quiet_monday_is():
    found = anomalies(month(*[2, *QUIET_WEEKENDS[1:]]), 5)
    assert [each["day"] for each in found] == ["2025-12-01"]


def test_less_than_two_weeks_say_nothing():
    assert anomalies(month(*[10] * 12, 1000), 5) == []
    assert anomalies({}, 5) == []
