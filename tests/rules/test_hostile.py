"""Whatever is given as a rule is refused in words, or expanded in little time and into little."""

import time
from contextlib import suppress
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from session_cleanup.exceptions import RuleError
from session_cleanup.rules.fitting import MOST_A_DAY
from session_cleanup.rules.rule import Rule
from tests.rules.test_oracle import rules, some

pytestmark = pytest.mark.once
UTC = ZoneInfo("UTC")
SECONDS = (
    15  # here 5 at most; a rule that never comes true takes the longest: hundreds of years are gone through
)
YEAR = timedelta(days=366)
NOW = datetime(2026, 1, 4, 6)
ALL = ",".join(map(str, range(60)))
DAYS = "MO,TU,WE,TH,FR,SA,SU"
ORDINALS = ",".join(f"{number}{day}" for number in range(-53, 54) if number for day in DAYS.split(","))
POSITIONS = ",".join(map(str, range(336, 367)))

NAMES = st.sampled_from(
    [
        *("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY"),
        *("BYHOUR", "BYMINUTE", "BYSECOND", "BYSETPOS", "WKST", "DTSTART", "BYEASTER", "RRULE:FREQ", "freq"),
    ]
)
NUMBERS = st.one_of(
    st.integers(-400, 400).map(str),
    st.sampled_from(
        ["0", "-0", "+1", "1e3", "9" * 400, "0x1", "\u0661", "\uff11", "1.5", " 1", "--1", "1_0"]
    ),
)
LISTS = st.lists(st.one_of(NUMBERS, st.sampled_from([*DAYS.split(","), "-1FR", "53MO", "0MO"])), max_size=40)
VALUES = st.one_of(
    NUMBERS,
    LISTS.map(",".join),
    st.sampled_from(
        [
            *(
                "YEARLY",
                "MONTHLY",
                "WEEKLY",
                "DAILY",
                "HOURLY",
                "MINUTELY",
                "SECONDLY",
                "daily",
                "DA\u0131LY",
            ),
            *("99991231", "99991231T235959Z", "00010101T000000Z", "20260230", "20260101T250000", DAYS, ALL),
            *("MO\nEXDATE:20260104", "\r\nDTSTART:20260101T000000", "DAILY\x00", "", ";", "MO;COUNT=1"),
        ]
    ),
    st.text(max_size=20),
)
PARTS = st.lists(st.tuples(NAMES, VALUES).map("=".join), max_size=8).map(";".join)
FREQUENCIES = st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"])
HOSTILE = st.one_of(
    st.tuples(FREQUENCIES, PARTS).map(lambda each: f"FREQ={each[0]};{each[1]}"),
    st.tuples(rules(), PARTS).map(";".join),
    st.tuples(rules(), st.lists(st.sampled_from(["EXDATE:20260105", "EXDATE:x", "RRULE:FREQ=DAILY"]))).map(
        lambda each: "\n".join([each[0], *each[1]])
    ),
    st.text(max_size=60),
    PARTS.map(lambda each: each * 40),
)
FIRSTS = st.one_of(st.datetimes(), st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), st.just(NOW))


@pytest.mark.slow
@settings(max_examples=300, deadline=timedelta(seconds=SECONDS), suppress_health_check=list(HealthCheck))
@example("FREQ=YEARLY;BYDAY=" + DAYS + ";BYHOUR=" + ALL[:61] + ";BYMINUTE=0,30", datetime(1900, 1, 1))
@example("FREQ=MONTHLY;BYDAY=" + DAYS + ";BYHOUR=" + ALL[:61] + ";BYMINUTE=0,30", datetime(1900, 1, 1))
@example("FREQ=HOURLY;COUNT=10000;INTERVAL=24;BYDAY=MO", datetime(1900, 1, 1))
@example("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYSETPOS=" + POSITIONS, NOW)
@example("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU;COUNT=10000", datetime(1900, 1, 1))
@example("FREQ=YEARLY;BYYEARDAY=1;BYMONTHDAY=2;BYDAY=" + ORDINALS, NOW)
@example("FREQ=YEARLY;BYMONTH=12;BYDAY=53MO", NOW)  # an IndexError in dateutil
@example("FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2;BYDAY=" + ",".join(["1MO", DAYS] * 400), NOW)
@example("FREQ=DAILY;BYHOUR=" + ",".join(["1"] * 4000), NOW)
@example("FREQ=DAILY;UNTIL=99991231T235959Z", datetime(9999, 12, 31))
@example("FREQ=DAILY;INTERVAL=0", NOW)
@example("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=366", NOW)
@example("FREQ=HOURLY;BYHOUR=" + ALL[:61] + ";BYMINUTE=1,2", NOW)
@given(text=HOSTILE, first=FIRSTS)
def test_a_hostile_rule(text, first):
    """Refused, or a year of it in UTC and in a zone that is 14 hours ahead, written and read again."""
    rule, refusal = None, ""
    try:
        rule = Rule.parse(text)
        rule.check(first)
    except RuleError as error:
        rule, refusal = None, str(error)
    if rule is None:
        assert 10 < len(refusal) < 500
        assert "\n" not in refusal
        return
    rule.notice(first.date())
    for zone in ("UTC", "Pacific/Kiritimati"):
        found = list(rule.between(first, NOW, NOW + YEAR, ZoneInfo(zone)))
        assert found == sorted(set(found))
        assert len(found) <= 367 * MOST_A_DAY
    assert Rule.parse(str(rule)) == rule


@pytest.mark.parametrize("frequency", ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"])
def test_a_series_that_began_long_ago_costs_what_a_new_one_does(frequency):
    rule = Rule.parse(f"FREQ={frequency};BYDAY={DAYS};BYHOUR={ALL[:61]};BYMINUTE=0,30")

    def seconds(first):
        began = time.perf_counter()
        assert len(list(rule.between(first, NOW, NOW + YEAR, UTC))) == 366 * MOST_A_DAY
        return time.perf_counter() - began

    new, old = (min(seconds(datetime(year, 1, 1)) for _ in range(3)) for year in (2025, 1900))
    assert old < 5 * new


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        *("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=HOURLY;BYDAY=MO;BYHOUR=3;INTERVAL=24"),
        *("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYSETPOS=" + POSITIONS, "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31"),
        "FREQ=YEARLY;BYYEARDAY=1;BYMONTHDAY=2;BYDAY=" + ORDINALS,
    ],
)
def test_one_that_was_never_checked_holds_a_run_up_for_seconds_only(text):
    """It came into the table past the model's validation."""
    began = time.monotonic()

    with suppress(RuleError):
        list(Rule.parse(text).between(NOW, NOW, NOW + YEAR, UTC))

    assert time.monotonic() - began < SECONDS


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=rules(ends=False), years=st.integers(1, 40), days=some(range(366), 1))
def test_a_window_far_ahead_is_the_same_as_counting_from_the_first_start(text, years, days):
    first = NOW.replace(year=NOW.year - years, day=days[0] % 31 + 1)
    window = timedelta(days=10 if "HOURLY" in text else 400)
    try:
        rule = Rule.parse(text)
        rule.check(first)
    except RuleError:
        return
    counted = [wall for wall in rule.between(first, first, NOW + window, UTC) if wall >= NOW]

    assert list(rule.between(first, NOW, NOW + window, UTC)) == counted
