"""Usage by day, weekday and holder."""

from datetime import timedelta

from session_cleanup.analytics.metrics import measure
from tests.factories import DAY, NOW, SECOND
from tests.reports import DECEMBER, at, browser


def by_day(usage, name):
    return {day["day"]: day[name] for day in usage["days"]}


def test_created_and_accessed_by_day_of_utc(figures):
    browser(2, created_at=at("12-31 23:59"), last_activity_at=at("12-31 23:59"))
    browser(3, created_at=at("12-30 00:00"), last_activity_at=at("12-31 00:00"))
    browser(4, created_at=at("01-01 00:00"), last_activity_at=at("01-01 00:00"))

    usage = figures("usage")
    assert len(usage["days"]) == 31
    created, accessed = by_day(usage, "created"), by_day(usage, "accessed")
    assert (created["2025-12-30"], created["2025-12-31"], accessed["2025-12-31"]) == (3, 2, 5)
    assert sum(count for count in created.values() if count) == 5
    assert sum(accessed.values()) == 5


def test_days_of_which_sessions_are_gone_are_not_known(figures):
    """At NOW, 4 January 06:00, sessions from before 5 December 06:00 are deleted, or due."""
    created = by_day(figures("usage"), "created")

    assert [day for day, count in created.items() if count is None] == [
        f"2025-12-0{number}" for number in range(1, 6)
    ]
    assert created["2025-12-06"] == 0


def test_what_runs_removed_by_day(figures, ran):
    ran(at("12-03 02:00"), changed=5)
    ran(at("12-03 23:59"), job="browser-excess", changed=2)

    removed = by_day(figures("usage"), "removed")
    assert (removed["2025-12-03"], sum(removed.values())) == (7, 7)


def test_the_average_age_in_days(figures):
    assert figures("usage")["average_age_days"] is None

    browser(created_at=NOW - timedelta(hours=12))
    browser(created_at=NOW - 2 * DAY)
    assert figures("usage")["average_age_days"] == 1.25


def test_holders_all_of_whose_active_sessions_expire_within_seven_days(figures):
    browser(2, holder="a", expires_at=NOW + 7 * DAY - SECOND)
    browser(1, holder="a", is_active=False)
    browser(1, holder="b", expires_at=NOW + DAY)
    browser(1, holder="b", expires_at=NOW + 7 * DAY)  # lasts longer
    browser(1, holder="c", created_at=NOW - 24 * DAY)
    browser(1, holder="d", is_active=False, expires_at=NOW + DAY)
    browser(1, holder=None, expires_at=NOW + DAY)

    usage = figures("usage")
    assert (usage["expiring_holders"], usage["expiring_sessions"]) == (2, 5)


def test_the_holders_with_most_sessions_that_nobody_uses(figures):
    old = {"last_activity_at": NOW - 8 * DAY}
    browser(2, holder="a", **old)
    browser(3, holder="b", **old)
    browser(9, holder="c")
    browser(9, holder="d", is_active=False, **old)
    browser(9, holder=None, **old)
    for number in range(12):
        browser(holder=f"e{number:02}", **old)

    unused = figures("usage")["unused"]
    assert [(each["holder"], each["sessions"]) for each in unused[:3]] == [("b", 3), ("a", 2), ("e00", 1)]
    assert len(unused) == 10


def test_the_trend_beside_the_month_before(figures):
    browser(3)
    before = measure("default", DECEMBER.before, NOW)
    browser(3)
    now = measure("default", DECEMBER, NOW, before)

    trend = {each["figure"]: each for each in now["trend"]}
    assert trend["sessions"] == {"figure": "sessions", "now": 6, "before": 3, "change": 1.0}
    assert trend["removed a day"]["change"] is None  # none before either


def test_without_a_month_before_there_is_no_change(figures):
    assert {each["change"] for each in figures("trend")} == {None}


def test_a_clock_that_is_ahead_does_no_harm(figures):
    browser(created_at=NOW + 400 * DAY, last_activity_at=NOW + 400 * DAY)

    assert figures("sessions")["total"] == 1
    assert not sum(day["created"] or 0 for day in figures("usage")["days"])
