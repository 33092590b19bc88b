"""Cron expressions, and that systemd and every cron daemon understand the same times by them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies.policy import GROUPS
from session_cleanup.scheduling.cron import (
    crontab_fields,
    next_times,
    on_calendar,
    parse,
    shortest_gap,
)
from tests.scheduling.examples import BASE, needs_systemd, systemd_times

pytestmark = pytest.mark.once


def spoken() -> st.SearchStrategy[str]:
    """Five fields of everything cron knows: *, numbers, names, lists, ranges, steps."""
    limits = [
        (0, 59, []),
        (0, 23, []),
        (1, 31, []),
        (1, 12, ["JAN", "jun"]),
        (0, 7, ["SUN", "fri"]),
    ]

    def field(low: int, high: int, names: list[str]) -> st.SearchStrategy[str]:
        number = st.integers(low, high)
        pair = st.tuples(number, number).map(sorted)
        step = st.integers(1, high + 3)
        item = st.one_of(
            st.just("*"),
            st.builds("*/{}".format, step),
            number.map(str),
            pair.map(lambda ends: "{}-{}".format(*ends)),
            st.builds(lambda ends, by: f"{ends[0]}-{ends[1]}/{by}", pair, step),
            st.builds("{}/{}".format, number, step),
            *([st.sampled_from(names)] if names else []),
        )
        return st.lists(item, min_size=1, max_size=3).map(",".join)

    return st.tuples(*(field(*limit) for limit in limits)).map(" ".join)


@needs_systemd
@pytest.mark.parametrize(
    "cron",
    [
        *GROUPS.values(),
        "0 */6 * * *",
        "0 4 * * *",
        "30 5 * * *",
        "5/15 * * * *",
        "*/14 * * * *",  # systemd 252 skips midnight when this is said as *:00/14
        "10-30/7 8-18/2 * * *",
        "0 0 13 * 5",  # the 13th OR a Friday
        "0 0 13 * */5",  # AND, since a field begins with a star
        "0 0 1-31 * 1",
        "0 0 1 * 0-7",
        "0 0 30 2 MON",
        "0 0 29 2 *",
        "0 3 * * 7",
        "0 3 * * 5-7",
        "15 3 * jan-mar sun,wed",
    ],
)
def test_the_next_20_times_of_a_timer_are_those_of_cron(cron):
    assert systemd_times(on_calendar(cron), 20) == next_times(cron, BASE, 20)


@needs_systemd
@settings(max_examples=40, deadline=None, derandomize=True)
@given(spoken())
def test_any_expression_means_the_same_to_systemd(cron):
    assume(accepted(cron))
    wanted = next_times(cron, BASE, 20)  # rare dates: fewer, as cronsim looks 50 years ahead

    assert systemd_times(on_calendar(cron), 20)[: len(wanted)] == wanted


@settings(max_examples=300, deadline=None, derandomize=True)
@given(spoken())
def test_what_a_crontab_is_given_means_the_same(cron):
    assume(accepted(cron))

    assert next_times(crontab_fields(cron), BASE, 50) == next_times(cron, BASE, 50)


def accepted(cron: str) -> bool:
    try:
        parse(cron)
    except ConfigurationError:
        return False
    return True


@pytest.mark.parametrize(
    ("cron", "fields"),
    [
        ("0 */6 * * *", "0 */6 * * *"),
        ("5/15 * * * *", "5,20,35,50 * * * *"),  # Debian's cron: "bad minute"
        ("*/7,3/10 * * * *", "*/7,3-59/10 * * * *"),
        ("0 3 * * SUN", "0 3 * * 0"),
        ("0 3 * * 5-7", "0 3 * * 0,5-6"),  # Railway knows no 7
        ("0 0 1 * 0-7", "0 0 1 * 0-6"),  # not "*", which would mean AND
    ],
)
def test_a_crontab_is_given_what_every_daemon_reads(cron, fields):
    assert crontab_fields(cron) == fields


@pytest.mark.parametrize(
    ("cron", "calendar"),
    [
        ("0 */6 * * *", ["*-*-* 00/6:00:00 UTC"]),
        ("0 2 * * *", ["*-*-* 02:00:00 UTC"]),
        ("0 3 * * 0", ["Sun *-*-* 03:00:00 UTC"]),
        ("*/5 9-17 * * 1-5", ["Mon,Tue,Wed,Thu,Fri *-*-* 09..17:00/5:00 UTC"]),
        ("0 4 1 * *", ["*-*-01 04:00:00 UTC"]),
        ("0 0 13 * 5", ["*-*-13 00:00:00 UTC", "Fri *-*-* 00:00:00 UTC"]),
    ],
)
def test_systemd_is_told_in_its_own_words(cron, calendar):
    assert on_calendar(cron) == calendar


@pytest.mark.parametrize(
    ("cron", "problem"),
    [
        ("", "five fields"),
        ("@daily", "five fields"),
        ("0 2 * *", "five fields"),
        ("0 0 2 * * *", "five fields"),  # seconds
        ("60 2 * * *", "Bad minute"),
        ("0 24 * * *", "Bad hour"),
        ("0 2 31 2 *", "Bad day-of-month"),
        ("0 2 * * MONDAY", "Bad day-of-week"),
        ("*/0 * * * *", "Bad minute"),
        ("0 2 L * *", "L, LW and #"),
        ("0 2 LW * *", "L, LW and #"),
        ("0 2 * * 5L", "L, LW and #"),
        ("0 2 * * 1#2", "L, LW and #"),
        ("0 2 * * 1#2/2", ""),
        ("0 2 * * L", "Bad day-of-week"),
        (f"*/{'9' * 5000} * * * *", ""),
        ("0 2 * * ²", "Bad day-of-week"),
    ],
)
def test_an_expression_that_cannot_be_meant_is_refused_with_its_cure(cron, problem):
    with pytest.raises(ConfigurationError, match="Give minute, hour") as refused:
        parse(cron)

    assert problem in str(refused.value)


def test_times_are_later_than_the_moment_asked_about():
    at_two = datetime(2026, 1, 1, 2, tzinfo=UTC)

    assert next_times("0 2 * * *", at_two, 2) == [
        at_two + timedelta(days=1),
        at_two + timedelta(days=2),
    ]


def test_the_shortest_gap_is_the_one_over_midnight():
    assert shortest_gap("0,59 0,23 * * *") == timedelta(minutes=1)
    assert shortest_gap("0 */6 * * *") == timedelta(hours=6)
