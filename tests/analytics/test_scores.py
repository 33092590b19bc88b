"""Each score by its definition, on small exact data."""

from datetime import timedelta

import pytest

from session_cleanup.models import Session
from tests.factories import DAY, NOW, SECOND, SessionFactory, UserFactory
from tests.reports import at, browser

LIFETIME = timedelta(days=30)


def test_an_empty_database_has_no_score(figures):
    assert set(figures("scores").values()) == {None}
    assert set(figures("sessions").values()) == {0}


def test_only_browser_sessions_count(figures):
    for kind in set(Session.Kind.values) - {"browser"}:
        SessionFactory(kind=kind, holder="x")

    assert figures("sessions")["total"] == 0


def test_health_is_what_is_valid_and_not_expired(figures):
    browser(5)
    browser(1, payload_valid=None)  # not checked: not held against it
    browser(1, payload_valid=False)
    browser(1, is_active=False, ended_at=NOW)
    browser(1, created_at=NOW - LIFETIME - SECOND)
    browser(1, expires_at=NOW - SECOND, payload_valid=False)

    assert figures("scores")["health"] == 7 / 10
    assert figures("sessions") == {
        "total": 10,
        "active": 7,
        "inactive": 1,
        "expired": 2,
        "invalid": 2,
        "unchecked": 1,
    }


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"created_at": NOW - LIFETIME}, "active"),
        ({"created_at": NOW - LIFETIME - SECOND}, "expired"),
        ({"expires_at": NOW}, "active"),
        ({"expires_at": NOW - SECOND}, "expired"),
        ({"expires_at": None}, "active"),
        ({"is_active": False}, "inactive"),
        ({"is_active": False, "expires_at": NOW - SECOND}, "expired"),
    ],
)
def test_a_session_is_in_one_state_to_the_second(figures, values, state):
    browser(**values)

    found = figures("sessions")
    assert {name: found[name] for name in ("active", "inactive", "expired") if found[name]} == {state: 1}


def test_the_lifetime_is_the_setting(figures, settings):
    browser(created_at=NOW - 8 * DAY)
    assert figures("scores")["health"] == 1

    settings.SESSION_CLEANUP_EXPIRY_DAYS = 7
    assert figures("scores")["health"] == 0


def test_utilisation_is_of_the_holders_seen(figures):
    browser(3, holder="a")
    browser(1, holder="a", is_active=False)
    browser(1, holder="b", is_active=False)
    browser(1, holder="a", holder_type="other", expires_at=NOW - SECOND)
    browser(4, holder=None)  # nobody's

    assert figures("scores")["utilisation"] == 1 / 3
    assert figures("usage")["holder_types"] == [
        {"holder_type": "lead", "holders": 2, "active_holders": 1, "sessions": 9},
        {"holder_type": "other", "holders": 1, "active_holders": 0, "sessions": 1},
    ]


def test_utilisation_is_of_the_holder_model_where_there_is_one(figures, settings):
    settings.SESSION_CLEANUP_HOLDER_MODEL = "auth.User"
    users = UserFactory.create_batch(4)
    browser(2, holder=str(users[0].pk))
    browser(holder=str(users[1].pk), is_active=False)
    browser(holder="999999")  # who is no user

    assert figures("scores")["utilisation"] == 1 / 4

    settings.SESSION_CLEANUP_HOLDER_MODEL = "auth.User.username"
    browser(holder=users[2].username)
    assert figures("scores")["utilisation"] == 1 / 4


@pytest.mark.parametrize(
    ("values", "lived", "ran_out"),
    [
        ({"created_at": at("12-31 23:59")}, True, False),
        ({"created_at": at("01-01 00:00")}, False, False),  # not yet
        ({"created_at": at("12-10"), "expires_at": at("12-31 23:59")}, True, True),
        ({"created_at": at("12-10"), "expires_at": at("01-01 00:00")}, True, False),
        ({"created_at": at("11-20"), "expires_at": at("12-01 00:00")}, True, True),
        ({"created_at": at("11-20"), "expires_at": at("11-30 23:59")}, False, False),  # no more
        ({"created_at": at("11-02 00:00")}, True, True),  # thirty days later, in the month
        ({"created_at": at("11-01 00:00")}, True, True),  # at its very beginning
        ({"created_at": at("10-31 23:59")}, False, False),
        ({"created_at": at("11-20"), "ended_at": at("11-30 23:59")}, False, False),
        (
            {
                "created_at": at("12-01"),
                "ended_at": at("12-05"),
                "end_reason": "ended",
                "expires_at": at("12-09"),
            },
            True,
            False,
        ),
        (
            {
                "created_at": at("12-01"),
                "ended_at": at("12-09"),
                "end_reason": "expired",
                "expires_at": at("12-09"),
            },
            True,
            True,
        ),
    ],
)
def test_who_lived_in_the_month_and_whose_time_ran_out_in_it(figures, values, lived, ran_out):
    if "ended_at" in values:
        values["is_active"] = False
    browser(**values)

    rate = figures("scores")["expiration_rate"]
    assert rate == (None if not lived else float(ran_out))


def test_sessions_that_runs_removed_lived_and_expired_too(figures, ran):
    browser(2, created_at=at("12-20"))
    ran(at("12-02 02:00"), changed=5)
    ran(at("12-31 23:59"), changed=1)
    ran(at("12-05 02:00"), job="browser-orphaned", changed=2)  # removed, but not expired
    ran(at("11-30 23:59"), changed=50)
    ran(at("01-01 00:00"), changed=50)
    ran(at("12-05 02:00"), job="other", changed=50)

    assert figures("scores")["expiration_rate"] == 6 / (2 + 8)


def test_the_storage_ratio_is_of_payloads_whose_size_is_known(figures):
    browser(payload={"a": "x" * 1000}, payload_size=500)
    browser(payload={"a": "x" * 5000})
    browser(payload=None)

    ratio = figures("scores")["storage_ratio"]
    assert 1000 / 500 < ratio < 1050 / 500


def test_the_storage_ratio_of_payloads_of_no_size_is_not_known(figures):
    browser(payload={}, payload_size=0)

    assert figures("scores")["storage_ratio"] is None


def test_used_are_the_active_ones_of_the_last_seven_days(figures):
    browser(last_activity_at=NOW - 7 * DAY)
    browser(3, last_activity_at=NOW - 7 * DAY - SECOND)
    browser(2, last_activity_at=NOW, is_active=False)

    assert figures("scores")["used"] == 1 / 4
