"""Each recommendation at its threshold, and none without a reason."""

import copy
from datetime import timedelta

import pytest
from django.db.models import JSONField, Value

from session_cleanup.analytics.metrics import measure
from session_cleanup.analytics.recommendations import RULES, recommendations
from session_cleanup.models import Session
from tests.factories import NOW, SECOND
from tests.reports import DECEMBER, at, browser


@pytest.fixture
def healthy(figures, db):
    """Figures of which none gives a reason, each at its threshold where there is one."""
    browser(payload={}, payload_size=2)
    found = copy.deepcopy(measure("default", DECEMBER, NOW))
    found["scores"].update(utilisation=0.5, health=0.7, used=0.3)
    found["sessions"].update(total=10_000, active=9_000, invalid=0, expired=0)
    found["usage"].update(expiring_holders=10, anomalies=[])
    found["performance"].update(old_plain=1000, packed_ratio=0.6)
    found["performance"]["queries"] = [{"job": "a", "seconds": 0.1, "index": "i"}]
    found["performance"]["indexes"] = [{"name": "i", "scans": 1, "size": 1}]
    found["cleanup"].update(
        intake=50.0,
        drain=40.0,
        backlog=100,
        runs=31,
        expected=31,
        schedule="0 2 * * *",
        suggested="0 */4 * * *",
    )
    return found


def packed(stored, **values):
    [session] = browser(**values)
    as_it_is = Value(stored, JSONField())
    Session._base_manager.filter(pk=session.pk).update(payload=as_it_is)


def types(found):
    return [each["type"] for each in recommendations(found)]


def test_an_empty_database_raises_none(figures):
    assert recommendations(measure("default", DECEMBER, NOW)) == []


def test_nothing_that_is_not_known_raises_any(figures, settings):
    """Every query took too long."""
    settings.SESSION_CLEANUP_RECOMMEND_UTILISATION_PERCENT = 100
    unknown = measure("default", DECEMBER, NOW)
    unknown.update(sessions=None, usage=None, cleanup=None, scores=dict.fromkeys(unknown["scores"]))
    unknown["performance"].update(old_plain=None, packed_ratio=None)

    assert recommendations(unknown) == []


def test_what_is_at_its_threshold_raises_none(healthy):
    assert recommendations(healthy) == []


@pytest.mark.parametrize(
    ("part", "values", "rule", "priority"),
    [
        ("scores", {"utilisation": 0.499}, "utilisation", "medium"),
        ("scores", {"health": 0.699}, "health", "high"),
        ("scores", {"used": 0.299}, "unused", "medium"),
        ("usage", {"expiring_holders": 11}, "expiring", "medium"),
        ("performance", {"old_plain": 1001}, "uncompressed", "low"),
        ("sessions", {"invalid": 1}, "invalid", "high"),
        ("cleanup", {"backlog": 101}, "falling_behind", "high"),
        ("performance", {"queries": [{"job": "a", "seconds": 1, "index": None}]}, "index", "medium"),
        ("performance", {"indexes": [{"name": "i", "scans": 0, "size": 1}]}, "index", "medium"),
        ("performance", {"packed_ratio": 0.601}, "compression", "low"),
        (
            "usage",
            {"anomalies": [{"day": "2025-12-09", "created": 99, "low": 1.0, "high": 9.0}]},
            "unusual_day",
            "medium",
        ),
    ],
)
def test_just_beyond_its_threshold_there_is_one(healthy, part, values, rule, priority):
    healthy[part].update(values)

    [found] = recommendations(healthy)
    assert (found["type"], found["priority"]) == (rule, priority)
    assert all(found[name].endswith(".") for name in ("why", "what"))
    assert not found["title"].endswith(".")


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("UTILISATION_PERCENT", 51, "utilisation"),
        ("HEALTH_PERCENT", 71, "health"),
        ("USED_PERCENT", 31, "unused"),
        ("EXPIRING_HOLDERS", 9, "expiring"),
        ("UNCOMPRESSED", 999, "uncompressed"),
        ("STORAGE_PERCENT", 59, "compression"),
        ("BACKLOG_DAYS", 1, "falling_behind"),
    ],
)
def test_each_threshold_is_a_setting(healthy, settings, setting, value, rule):
    setattr(settings, f"SESSION_CLEANUP_RECOMMEND_{setting}", value)

    assert types(healthy) == [rule]


def test_invalid_payloads_may_be_allowed(healthy, settings):
    healthy["sessions"]["invalid"] = 5
    settings.SESSION_CLEANUP_RECOMMEND_INVALID = 5

    assert types(healthy) == []


def test_a_small_table_needs_no_index(healthy):
    healthy["performance"]["queries"] = [{"job": "a", "seconds": 1, "index": None}]
    healthy["sessions"]["total"] = 9_999

    assert types(healthy) == []


@pytest.mark.parametrize(
    "values",
    [
        {"drain": 50.0},  # as many go as come
        {"intake": None},
        {"intake": 0.0},
        {"backlog": 0},
    ],
)
def test_a_backlog_alone_is_not_falling_behind(healthy, values):
    healthy["cleanup"].update({"backlog": 1000, **values})

    assert types(healthy) == []


def test_falling_behind_suggests_a_schedule_or_a_look_at_the_timer(healthy):
    healthy["cleanup"]["backlog"] = 101
    assert '{"browser-expired": "0 */4 * * *"}' in recommendations(healthy)[0]["what"]

    healthy["cleanup"]["runs"] = 15
    assert "ran 15 times of 31: see that its timer is on" in recommendations(healthy)[0]["what"]


def test_falling_behind_without_a_job_that_would_catch_up(healthy):
    healthy["cleanup"].update(backlog=101, schedule=None, suggested=None, runs=0, expected=0)

    assert "Turn the preset browser on" in recommendations(healthy)[0]["what"]


def test_only_what_is_packed_says_how_well_that_goes(figures):
    old = {"created_at": NOW - timedelta(days=8), "payload_size": 100}
    packed("packed:1:" + "a" * 40, **old)
    browser(payload="packed: or so it says" + "a" * 400, **old)
    browser(payload="enc:" + "a" * 400, **old)
    browser(payload={"a": "a" * 400}, **old)
    assert 0.4 < figures("performance")["packed_ratio"] < 0.7


def test_the_most_urgent_comes_first(healthy):
    healthy["scores"]["utilisation"] = 0.1
    healthy["performance"]["old_plain"] = 5000
    healthy["sessions"]["invalid"] = 5

    assert types(healthy) == ["invalid", "utilisation", "uncompressed"]


def test_every_rule_is_raised_by_some_test_above():
    [mark] = test_just_beyond_its_threshold_there_is_one.pytestmark
    assert {rule for _, _, rule, _ in mark.args[1]} == {rule.__name__ for rule in RULES}


def test_an_unusual_day_of_real_sessions(figures, settings):
    for number in range(6, 32):
        browser(30 if number == 17 else 2, created_at=at(f"12-{number:02} 12:00"), last_activity_at=NOW)

    found = measure("default", DECEMBER, NOW)
    assert [each["title"] for each in recommendations(found)] == ["2025-12-17 was unusual"]


def test_old_payloads_are_counted_if_they_are_plain(figures):
    old = {"created_at": NOW - timedelta(days=7) - SECOND}
    browser(2, payload={"cookies": []}, **old)
    browser(payload=[], **old)
    packed("packed:1:abc", **old)
    browser(payload={"encrypted": "abc"}, **old)
    browser(payload=None, **old)
    browser(payload={}, created_at=NOW - timedelta(days=7))

    assert figures("performance")["old_plain"] == 3
