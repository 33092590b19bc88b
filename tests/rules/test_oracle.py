"""The expansion agrees with an implementation that shares nothing with dateutil.

It wants node, and once: npm install --no-package-lock --prefix tests/rules/oracle
"""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from session_cleanup.exceptions import RuleError
from session_cleanup.rules.rule import Rule
from session_cleanup.rules.wall import moment, wall_time

HOME = Path(__file__).parent / "oracle"
pytestmark = [
    pytest.mark.once,
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("node") is None or not (HOME / "node_modules").is_dir(),
        reason="needs node and: npm install --no-package-lock --prefix tests/rules/oracle",
    ),
]
ZONES = (
    *("Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Africa/Cairo"),
    *("Asia/Kolkata", "Pacific/Apia", "America/St_Johns", "Europe/Dublin", "Asia/Beirut", "UTC"),
)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def window(text):
    """The oracle takes a millisecond for each."""
    return timedelta(days=20 if "HOURLY" in text else 400)


class Oracle:
    def __init__(self):
        self.process = subprocess.Popen(
            ["node", "oracle.mjs"], cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def moments(self, start, zone, rule, before):
        question = {
            "start": f"{start:%Y%m%dT%H%M%S}",
            "zone": zone,
            "rule": "\n".join(
                f"RRULE:{line}" if line.startswith("FREQ") else line for line in rule.split("\n")
            ),
            "after": "1970-01-01T00:00:00Z",
            "before": before.isoformat(),
        }
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, (answer, question)
        return [EPOCH + timedelta(milliseconds=number) for number in answer["moments"]]


@pytest.fixture(scope="module")
def oracle():
    oracle = Oracle()
    yield oracle
    oracle.process.communicate(timeout=10)  # closes its pipes


def some(values, most=3):
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)


def signed(high):
    return [*range(1, high + 1), *range(-high, 0)]


@st.composite
def rules(draw, *, ends=True):
    frequency = draw(st.sampled_from(["YEARLY", "MONTHLY", "MONTHLY", "WEEKLY", "WEEKLY", "DAILY", "HOURLY"]))
    parts = {"FREQ": frequency}
    if draw(st.booleans()):
        parts["INTERVAL"] = draw(st.integers(1, 13 if frequency != "HOURLY" else 60))
    for name, strategy in by_parts(frequency).items():
        if draw(st.integers(0, 3)) == 0:
            parts[name] = ",".join(map(str, draw(strategy)))
    for name in left_out(parts):
        parts.pop(name, None)
    if len(parts) > 2 and frequency not in ("HOURLY", "DAILY") and draw(st.integers(0, 5)) == 0:
        parts["BYSETPOS"] = draw(st.sampled_from([1, 2, -1, -2]))
    if frequency == "WEEKLY" and draw(st.booleans()):
        parts["WKST"] = draw(st.sampled_from(DAYS))
    if ends and draw(st.booleans()):
        parts["COUNT"] = draw(st.integers(1, 40))
    return ";".join(f"{name}={value}" for name, value in parts.items())


def left_out(parts):
    """Of yearly rules what the oracle gets wrong: days that limit others, and numbers beside none."""
    if parts["FREQ"] == "YEARLY" and "BYYEARDAY" in parts:
        return ["BYDAY", "BYMONTHDAY"]
    days = parts.get("BYDAY", "").split(",")
    numbered = sum(day[-3:-2].isdigit() for day in days)
    mixed = 0 < numbered < len(days)
    return ["BYDAY"] if parts["FREQ"] == "YEARLY" and (mixed or "BYMONTHDAY" in parts) else []


def by_parts(frequency):
    found = {"BYHOUR": some(range(24)), "BYDAY": some(DAYS)}
    if frequency != "HOURLY":
        found["BYMONTH"] = some(range(1, 13), 4)
    if frequency in ("YEARLY", "MONTHLY"):
        ordinals = [f"{number}{day}" for number in (1, 2, -1) for day in DAYS]
        found["BYDAY"] = some([*DAYS, *ordinals])
    if frequency in ("YEARLY", "MONTHLY", "DAILY"):
        found["BYMONTHDAY"] = some(signed(31))
    if frequency == "YEARLY":
        found["BYYEARDAY"] = some(signed(366))
    return found


first_starts = st.datetimes(datetime(2023, 1, 1), datetime(2027, 12, 31)).map(
    lambda start: start.replace(second=0, microsecond=0)
)


def expanded(start, zone, text):
    """(wall time, moment) of each, or nothing said of a rule that is refused."""
    try:
        rule = Rule.parse(text)
        rule.check(start)
    except RuleError:
        assume(False)
    return [(wall, moment(wall, zone)) for wall in rule.between(start, start, start + window(text), zone)]


@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=rules(), start=first_starts)
def test_rules(oracle, text, start):
    ours = [found for _, found in expanded(start, ZoneInfo("UTC"), text)]

    before = (start + window(text)).replace(tzinfo=UTC) - timedelta(seconds=1)
    assert ours == oracle.moments(start, "UTC", text, before)


def any_in_gap(times, start, zone, span):
    """Whether a day of the window, or of a set that began before, skips one of these times."""
    days = (start.date() + timedelta(days=number) for number in range(-366, span.days + 366))
    walls = (datetime.combine(day, time) for day in days for time in times)
    return any(wall_time(moment(wall, zone), zone) != wall for wall in walls)


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=rules(ends=False), start=first_starts, name=st.sampled_from(ZONES))
def test_zones(oracle, text, start, name):
    """It leaves out what begins in a gap, before it counts positions; we move that forward."""
    zone = ZoneInfo(name)
    if "BYSETPOS" in text:
        counted = expanded(start, zone, re.sub(";BYSETPOS=[^;]*", "", text))
        assume(not any_in_gap({wall.time() for wall, _ in counted}, start, zone, window(text)))
    found = [(wall, at) for wall, at in expanded(start, zone, text) if "HOURLY" not in text]
    ours = {at for wall, at in found if wall_time(at, zone) == wall}

    theirs = oracle.moments(start, name, text, moment(start + window(text), zone) - timedelta(seconds=1))

    assert "HOURLY" in text or ours == set(theirs)
    assert all(wall_time(at, zone) > wall for wall, at in found if at not in ours)
