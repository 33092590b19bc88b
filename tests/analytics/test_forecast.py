"""What becomes due, when a backlog is gone, and how often to run."""

from collections import Counter
from datetime import date

import pytest

from session_cleanup.analytics.forecast import CALENDAR_DAYS, forecast, gone_on, runs_a_day, suggested
from session_cleanup.policies.cron import ANY_DATE, next_times, parse
from tests.factories import DAY, NOW, SECOND
from tests.reports import at, browser

TODAY = date(2026, 1, 4)  # a Sunday


def test_sessions_become_due_when_their_lifetime_is_over():
    created = Counter({TODAY - 29 * DAY: 3, TODAY - DAY: 7, TODAY: 99})
    found = forecast(created, [5.0] * 7, today=TODAY, lifetime=30 * DAY, days=30)

    assert len(found) == 30
    assert found[0] == {"day": "2026-01-05", "sessions": 3, "counted": True}
    assert found[28] == {"day": "2026-02-02", "sessions": 7, "counted": True}
    assert found[29] == {"day": "2026-02-03", "sessions": 5, "counted": False}  # today is not over yet


def test_those_not_yet_made_are_expected_by_weekday():
    usual = [1.0, 2.0, 3.0, 4.0, 5.0, None, 7.0]
    found = forecast(Counter(), usual, today=TODAY, lifetime=2 * DAY, days=9)

    assert [(each["sessions"], each["counted"]) for each in found] == [
        (0, True),
        (7, False),
        *((number, False) for number in (1, 2, 3, 4, 5, 0, 7)),
    ]


def test_the_forecast_of_a_month(figures):
    browser(4, created_at=at("12-20 13:00"))
    found = {each["day"]: each for each in figures("cleanup")["forecast"]}

    assert found["2026-01-19"] == {"day": "2026-01-19", "sessions": 4, "counted": True}
    assert sum(each["sessions"] for each in found.values()) == 4


@pytest.mark.parametrize(
    ("backlog", "intake", "capacity", "day"),
    [
        (0, 50, 0, TODAY),
        (100, 50, None, TODAY + DAY),
        (100, 50, 60, TODAY + 10 * DAY),
        (101, 50, 60, TODAY + 11 * DAY),
        (100, 50, 50, None),
        (100, 50, 0, None),
        (10**9, 50, 51, None),
    ],
)
def test_when_a_backlog_is_gone(backlog, intake, capacity, day):
    assert gone_on(TODAY, backlog, intake, capacity) == day


@pytest.mark.parametrize(
    ("cron", "runs"),
    [
        ("0 2 * * *", 1),
        ("0 */6 * * *", 4),
        ("*/5 * * * *", 288),
        ("* * * * *", 1440),
        ("0 3 * * 0", 1 / 7),
        ("0 4 1 * *", 12 / 365.25),
        ("0 0 29 2 *", 1 / (4 * 365.25)),
    ],
)
def test_runs_a_day(cron, runs):
    assert runs_a_day(cron) == pytest.approx(runs)


@pytest.mark.parametrize("cron", ["10 7 13 * FRI", "0 12 13 * *", "0 0 */2 2-4 1-5", "30 1 1,15 */3 MON"])
def test_runs_a_day_are_those_of_cron(cron):
    """Also where both day fields are given, and one of them begins with a star."""
    times = next_times(cron, ANY_DATE - SECOND, 3000)
    assert runs_a_day(cron) == sum(time.year < 2024 + 28 for time in times) / CALENDAR_DAYS


@pytest.mark.parametrize(
    ("needed", "cron"),
    [
        (0.5, "15 2 * * *"),
        (1.01, "15 */12 * * *"),
        (5, "15 */4 * * *"),
        (24, "15 * * * *"),
        (90, "*/15 * * * *"),
        (10_000, "*/5 * * * *"),
    ],
)
def test_a_suggested_schedule_runs_at_least_that_often(needed, cron):
    assert suggested("15 2 * * *", needed) == cron
    parse(cron)
    assert runs_a_day(cron) >= min(needed, 288)


@pytest.fixture
def behind(figures, ran):
    """Twenty sessions a day come in, 200 are overdue; runs end after five rows."""
    for number in range(6, 32):
        browser(20, created_at=at(f"12-{number:02} 12:00"))
    browser(200, created_at=NOW - 31 * DAY)

    def behind(end_state, runs=31):
        for number in range(1, runs + 1):
            ran(at(f"12-{number:02} 02:00"), changed=5, end_state=end_state)
        return figures("cleanup")

    return behind


def test_limited_runs_that_fall_behind(behind):
    found = behind("capped")

    assert (found["intake"], found["drain"], found["backlog"]) == (20, 5, 200)
    assert (found["gone_on"], found["runs"], found["expected"]) == (None, 31, 31)
    # (20 a day × 1.2 + 200 within 7 days) ÷ 5 a run: 10.5 runs a day
    assert (found["schedule"], found["suggested"]) == ("0 2 * * *", "0 */2 * * *")


def test_runs_without_a_limit_have_caught_up_with_the_next(behind):
    found = behind("drained", runs=3)

    assert found["gone_on"] == "2026-01-05"
    assert (found["runs"], found["suggested"]) == (3, "0 2 * * *")
