"""When jobs are due to start: at their hours, once, whoever started them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import CleanupLease
from session_cleanup.policies import registry
from session_cleanup.policies.cron import interval, last_time
from session_cleanup.scheduling import agenda as agendas
from session_cleanup.scheduling.adaptive import interval_after
from session_cleanup.scheduling.agenda import Agenda, last_starts
from tests.factories import DAY, HOUR
from tests.policies.checking import policy

WEEK = 7 * DAY
NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)  # a Monday
SECOND = timedelta(seconds=1)


@pytest.fixture
def hourly(declare, settings, db):
    """Two jobs at every hour and one at nine, without delay, that all started at eight."""
    settings.SESSION_CLEANUP_JITTER_SECONDS = 0
    declare(
        policy(name="first", cron="0 * * * *"),
        policy(name="nine", cron="0 9 * * *"),
        policy(name="second", cron="0 * * * *"),
    )
    started(NINE - HOUR)
    return Agenda(registry.jobs())


def started(at, *names):
    last_starts(registry.jobs())
    rows = CleanupLease.objects.all()
    (rows.filter(job__in=names) if names else rows).update(since=at)


def test_at_its_hour_and_not_before(hourly):
    assert hourly.due(NINE - SECOND) == []
    assert hourly.due(NINE) == ["first", "nine", "second"]


def test_once_an_hour(hourly):
    assert hourly.due(NINE)
    assert hourly.due(NINE + SECOND) == []  # though none of them was started

    started(NINE + SECOND, "first", "second", "nine")
    assert hourly.due(NINE + HOUR - SECOND) == []
    assert hourly.due(NINE + HOUR) == ["first", "second"]


def test_two_days_without_a_scheduler_are_caught_up_with_once(hourly):
    later = NINE + 2 * DAY + 25 * timedelta(minutes=1)

    anew = Agenda(registry.jobs())
    assert anew.due(later) == ["first", "nine", "second", *housekeeping()]
    started(later)
    assert Agenda(registry.jobs()).due(later + SECOND) == []


def housekeeping():
    return [job.name for job in registry.jobs() if job.name.startswith("housekeeping")]


def test_what_somebody_else_started_after_its_hour_is_left_alone(hourly):
    started(NINE + SECOND, "second")

    assert hourly.due(NINE + timedelta(minutes=1)) == ["first", "nine"]


def test_any_run_counts_as_a_start(hourly):
    runner.run(RunRequest(jobs=("first",)))

    starts = last_starts(registry.jobs())
    assert starts["nine"] == NINE - HOUR
    assert starts["first"] > NINE + DAY


def test_a_job_that_was_never_seen_waits_for_its_next_hour(hourly):
    CleanupLease.objects.filter(job="nine").delete()
    before = datetime.now(UTC) - timedelta(minutes=1)

    assert hourly.due(NINE) == ["first", "second"]
    assert CleanupLease.objects.get(job="nine").since > before
    assert not CleanupLease.objects.filter(job="nine", expires_at__gt=Now()).exists()  # nobody runs it


def test_a_delay_is_by_chance_but_for_no_more_than_a_tenth_of_the_interval(
    declare, settings, db, monkeypatch
):
    monkeypatch.setattr(agendas.random, "random", lambda: 1)
    settings.SESSION_CLEANUP_JITTER_SECONDS = 3600
    declare(
        policy(name="often", cron="*/5 * * * *"), policy(name="sundays", cron="0 9 * * 1", group="weekly")
    )
    started(NINE - timedelta(minutes=4))

    slow = Agenda(registry.jobs())
    assert slow.due(NINE + timedelta(seconds=29)) == []
    assert slow.due(NINE + timedelta(seconds=30)) == ["often"]
    assert slow.due(NINE + HOUR - SECOND) == ["often"]
    assert "sundays" in slow.due(NINE + HOUR)


def test_what_could_not_be_started_is_looked_at_again(hourly):
    assert "first" in hourly.due(NINE)

    hourly.again(["first"], NINE + timedelta(minutes=1))
    assert hourly.due(NINE + SECOND) == []
    assert hourly.due(NINE + timedelta(minutes=1)) == ["first", "second"]


def test_idle_it_asks_the_database_nothing(hourly, django_assert_num_queries):
    hourly.due(NINE)
    with django_assert_num_queries(0):
        for second in range(59 * 60):
            assert hourly.due(NINE + second * SECOND) == []


# Intervals.


@pytest.mark.parametrize(
    ("cron", "now", "expected"),
    [
        ("0 9 * * *", NINE, DAY),
        ("0 9 * * 1-5", NINE - 2 * DAY, 3 * DAY),  # a weekend
        ("0 9 * * 1-5", NINE + HOUR, 3 * DAY),  # the last one was on Friday
        ("0 9 * * 1-5", NINE + 2 * DAY, DAY),
        ("0 3 * * 0", NINE, WEEK),
        ("0 4 1 * *", NINE, 31 * DAY),
    ],
)
def test_the_interval_of_an_expression(cron, now, expected):
    assert interval(cron, now) == expected


@pytest.mark.parametrize(
    ("now", "last"),
    [(NINE, NINE), (NINE + timedelta(microseconds=1), NINE), (NINE - SECOND, NINE - DAY)],
)
def test_the_last_time_may_be_now(now, last):
    assert last_time("0 9 * * *", now) == last


# Jobs that move.


@pytest.mark.parametrize(
    ("gap", "backlog", "drained", "expected"),
    [
        (60, 1000, True, 60),  # just as many as wanted
        (60, 2000, True, 30),
        (60, 1500, True, 40),
        (60, 100_000, True, 30),  # at most twofold
        (60, 500, True, 120),
        (60, 0, True, 120),
        (60, 10, False, 30),  # it did not get to the end
        (20, 100_000, True, 15),  # the bounds
        (400, 0, True, 720),
        (9000, 0, True, 720),
        (1, 1000, True, 15),
    ],
)
def test_an_interval_follows_the_backlog_within_its_bounds(gap, backlog, drained, expected):
    minute = timedelta(minutes=1)
    bounds = (15, 720, 1000)

    assert interval_after(gap * minute, backlog, drained=drained, bounds=bounds) == expected * minute


@pytest.fixture
def moving(hourly, settings):
    settings.SESSION_CLEANUP_ADAPTIVE = {"nine": (15, 720, 1000)}
    return Agenda(registry.jobs())


def test_a_job_goes_by_its_expression_until_it_ran_twice(moving, ran):
    ran(NINE - HOUR, job="nine", changed=500)

    assert "nine" not in moving.due(NINE - SECOND)
    assert "nine" in moving.due(NINE + timedelta(minutes=1))


def test_then_by_its_backlog_and_each_change_is_logged_with_its_figures(moving, ran, caplog):
    caplog.set_level("INFO")
    ran(NINE - 2 * HOUR, job="nine", changed=7)
    ran(NINE - HOUR, job="nine", changed=2000)

    assert "nine" not in moving.due(NINE - 31 * timedelta(minutes=1))
    assert "nine" in moving.due(NINE - 30 * timedelta(minutes=1))
    [line] = [record.getMessage() for record in caplog.records if "moved" in record.getMessage()]
    assert line == (
        "job moved job=nine every_minutes=30 before=None backlog=2000 in_minutes=60 drained=True "
        "bounds=15-720 rows=1000"
    )


@pytest.mark.parametrize("end_state", ["failed", "busy", "lease_lost", "disabled", ""])
def test_a_run_that_measured_nothing_moves_nothing(moving, ran, end_state):
    ran(NINE - 3 * HOUR, job="nine", changed=7)
    ran(NINE - HOUR, job="nine", changed=1000)
    ran(NINE - timedelta(minutes=5), job="nine", changed=0, end_state=end_state)

    assert "nine" not in moving.due(NINE + HOUR - SECOND)
    assert "nine" in moving.due(NINE + HOUR + timedelta(minutes=1))
