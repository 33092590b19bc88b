"""How recurring sessions stand: each listing, its bound, and that the README's SQL gives the same."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection

from session_cleanup.analytics import monitoring
from session_cleanup.analytics.monitoring import SECTIONS, look
from session_cleanup.exceptions import SessionCleanupError
from session_cleanup.models import OccurrenceLog, Session, SessionSeries
from tests import readme
from tests.factories import DAY, HOUR, NOW, SECOND, OccurrenceFactory, SeriesFactory, SessionFactory

WEEK = 7 * DAY


def rows(section, now=NOW):
    return look([section], now)[1][section].rows


@pytest.fixture
def yoga(db):
    return SeriesFactory(name="Yoga")


def test_upcoming_are_those_of_seven_days_by_their_start(yoga):
    for title, starts in (("c", WEEK - SECOND), ("a", timedelta(0)), ("b", HOUR)):
        OccurrenceFactory(title=title, series=yoga, starts_at=NOW + starts)
    OccurrenceFactory(title="begun", series=yoga, starts_at=NOW - SECOND)
    OccurrenceFactory(title="later", series=yoga, starts_at=NOW + WEEK)
    SessionFactory(title="another kind", starts_at=NOW + HOUR)

    assert [row[0] for row in rows("upcoming")] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("starts", "lasts", "zone", "shown"),
    [
        ("2026-01-05 08:00", HOUR, "Europe/Berlin", ("2026-01-05", "09:00", "10:00")),
        ("2026-01-05 22:30", HOUR, "Europe/Berlin", ("2026-01-05", "23:30", "2026-01-06 00:30")),
        ("2026-01-05 23:30", HOUR, "Europe/Berlin", ("2026-01-06", "00:30", "01:30")),
        ("2026-01-05 08:00", 2 * DAY, "America/New_York", ("2026-01-05", "03:00", "2026-01-07 03:00")),
        ("2026-01-05 11:00", HOUR, "Pacific/Kiritimati", ("2026-01-06", "01:00", "02:00")),
    ],
)
def test_times_are_those_of_the_zone_of_the_series(db, starts, lasts, zone, shown):
    begins = datetime.fromisoformat(starts).replace(tzinfo=UTC)
    series = SeriesFactory(name="Yoga", time_zone=zone)
    OccurrenceFactory(title="x", series=series, starts_at=begins, expires_at=begins + lasts)

    assert rows("upcoming") == [("x", "scheduled", *shown, zone, "Yoga")]


def test_each_state_is_that_of_the_session(yoga):
    for state, values in {
        "scheduled": {},
        "active": {"is_active": True},
        "closed": {"ended_at": NOW, "end_reason": "expired"},
        "cancelled": {"ended_at": NOW, "end_reason": "cancelled"},
        "missed": {"ended_at": NOW, "end_reason": "missed"},
    }.items():
        assert OccurrenceFactory(title=state, series=yoga, occurrence=None, **values).state == state

    found = rows("upcoming")
    assert len(found) == 5
    assert all(row[0] == row[1] for row in found)


def test_a_session_without_series_or_end_and_a_zone_that_is_none_hide_nothing(yoga):
    OccurrenceFactory(title="alone", series=None, expires_at=None)
    SessionSeries.objects.update(time_zone="Mars")
    OccurrenceFactory(title="on Mars", series=yoga)

    assert rows("upcoming") == [
        ("alone", "scheduled", "2026-01-04", "07:00", None, "UTC", None),
        ("on Mars", "scheduled", "2026-01-04", "07:00", "08:00", "UTC", "Yoga"),
    ]
    assert rows("per-series") == [("Yoga", 1, "2026-01-04 07:00", "2026-01-04 07:00", "UTC")]


def test_the_log_shows_its_last_fifty_also_of_what_is_gone(yoga):
    session = OccurrenceFactory(title="Yoga - 04/01/2026", series=yoga)
    for number in range(51):
        OccurrenceLog.objects.note("moved", Session.objects.all(), NOW + number * SECOND)
    session.delete()
    yoga.delete()

    found = rows("log")

    assert len(found) == 50
    newest = ("2026-01-04 06:00:50", "moved", "Yoga", "Yoga - 04/01/2026", "2026-01-04", "07:00")
    assert found[0] == newest
    assert found[-1][0] == "2026-01-04 06:00:01"


@pytest.mark.parametrize(
    ("values", "end", "state"),
    [
        ({}, None, "active"),
        ({"is_active": False}, None, "inactive"),
        ({"rule": "FREQ=DAILY;UNTIL=20260110"}, "2026-01-10 23:59", "active"),
        ({"rule": "FREQ=DAILY;UNTIL=20260103"}, "2026-01-03 23:59", "ended"),
        ({"rule": "FREQ=DAILY;UNTIL=20260103T233000Z"}, "2026-01-04 00:30", "ended"),
        ({"rule": "FREQ=DAILY;COUNT=3"}, "2026-01-06 09:00", "active"),
        ({"rule": "FREQ=DAILY;COUNT=3", "first_date": date(2026, 1, 1)}, "2026-01-03 09:00", "ended"),
        ({"rule": "FREQ=YEARLY;COUNT=2", "first_date": date(2025, 6, 1)}, "2026-06-01 09:00", "active"),
        ({"rule": "FREQ=NEVER"}, None, "active"),
        ({"rule": "FREQ=DAILY;UNTIL=99991231", "time_zone": "America/New_York"}, None, "active"),
    ],
)
def test_the_end_and_the_state_of_a_series(db, values, end, state):
    series = SeriesFactory(name="Yoga", **{"first_date": date(2026, 1, 4), **values})

    start = f"{series.first_date} 09:00"
    assert rows("series") == [("Yoga", series.rule, series.time_zone, start, end, state)]


def test_the_end_follows_the_rule(yoga):
    yoga.rule = "FREQ=DAILY;COUNT=2"
    yoga.save(update_fields=["rule"])
    assert rows("series")[0][4:] == ("2026-01-05 09:00", "active")

    SessionSeries.objects.bulk_create([SeriesFactory.build(rule="FREQ=DAILY;UNTIL=20260101")])
    assert rows("series")[1][4:] == ("2026-01-01 23:59", "ended")


def test_per_series_counts_what_is_there(yoga):
    SeriesFactory(name="Nothing")
    for days in (3, 0, 200):
        OccurrenceFactory(series=yoga, starts_at=NOW + days * DAY)
    OccurrenceFactory(series=yoga, starts_at=None, expires_at=None, occurrence=None)
    OccurrenceFactory(series=yoga, starts_at=NOW + 300 * DAY).delete()

    assert rows("per-series") == [
        ("Yoga", 4, "2026-01-04 07:00", "2026-07-23 08:00", "Europe/Berlin"),
        ("Nothing", 0, None, None, "Europe/Berlin"),
    ]


@pytest.mark.parametrize("section", ["upcoming", "series", "per-series"])
def test_a_listing_ends_and_says_so(db, monkeypatch, section):
    monkeypatch.setattr(monitoring, "MOST", 2)
    for _number in range(2):
        OccurrenceFactory()
    assert not look([section], NOW)[1][section].more

    OccurrenceFactory()

    found = look([section], NOW)[1][section]
    assert (len(found.rows), found.more) == (2, True)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_listing_costs_the_same_for_many_rows_and_reads_no_secret(yoga, django_assert_num_queries, section):
    for number in range(5):
        OccurrenceFactory(series=yoga, starts_at=NOW + number * HOUR, payload={"cookies": ["c00kie"]})
        SeriesFactory()

    with django_assert_num_queries(1) as captured:
        SECTIONS[section]("default", NOW)

    assert not [query for query in captured if "payload" in query["sql"] or '"settings"' in query["sql"]]


def test_what_takes_too_long_is_refused_with_the_cure(db, monkeypatch):
    monkeypatch.setattr(monitoring, "asked", lambda using, question: None)

    with pytest.raises(SessionCleanupError, match="'log' was given up after SESSION_CLEANUP_STATEMENT"):
        look(["log"])


@pytest.mark.postgres
@pytest.mark.parametrize("section", SECTIONS)
def test_the_sql_of_the_readme_gives_the_same(db, section):
    """As of now, which is that of the database; nothing begins or ends just then."""
    now = datetime.now(UTC)
    zones = ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "UTC")
    rules = (
        "FREQ=DAILY",
        "FREQ=DAILY;COUNT=3",
        "FREQ=DAILY;UNTIL=20200101",
        "RRULE:FREQ=DAILY\r\nEXDATE:20260105",
    )
    for number, (zone, rule) in enumerate(zip(zones, rules, strict=True)):
        series = SeriesFactory(time_zone=zone, rule=rule, is_active=number != 3)
        for step in range(-2, 40):
            begins = now + (5 * step + number + 0.5) * HOUR
            ended = now if step % 4 == 1 else None
            OccurrenceFactory(
                series=series,
                starts_at=begins,
                expires_at=begins + (step % 5) * 9 * HOUR,
                is_active=step % 4 == 2,
                ended_at=ended,
                end_reason=("cancelled", "missed", "expired")[step % 3] if ended else "",
            )
        OccurrenceLog.objects.note("generated", series.sessions.all(), now)
    OccurrenceFactory(series=None, starts_at=now + HOUR, expires_at=None, occurrence=None)
    OccurrenceLog.objects.note("closed", Session.objects.filter(series=None), now)
    SeriesFactory(name="Nothing")

    listing = look([section])[1][section]
    [sql] = [block for block in readme.blocks("sql") if block.startswith(f"-- {section}\n")]
    with connection.cursor() as cursor:
        cursor.execute(sql)
        columns = tuple(column[0] for column in cursor.description)
        found = cursor.fetchall()

    assert columns == listing.columns
    assert found == listing.rows
    assert len(found) > 3
