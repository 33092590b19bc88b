"""The log of occurrences is pruned, and nothing that was deleted comes back for it."""

from datetime import UTC, datetime, time, timedelta

import pytest

from session_cleanup.models import OccurrenceLog, Session, SessionSeries
from session_cleanup.recurrence.days import closed_days
from session_cleanup.recurrence.edits import Edit
from tests.factories import DAY, HOUR, NOW, SECOND, OccurrenceFactory, SeriesFactory

JOB = "housekeeping-occurrences"


@pytest.fixture(autouse=True)
def _preset(settings):
    settings.SESSION_CLEANUP_PRESETS = ["recurring"]


@pytest.fixture
def noted(db, settings):
    """noted(expires_at, at): an entry of a session that ends then, written then."""
    settings.SESSION_CLEANUP_OCCURRENCE_LOG_DAYS = 30

    def noted(expires_at, at):
        session = OccurrenceFactory(expires_at=expires_at)
        OccurrenceLog.objects.note("generated", Session.objects.filter(pk=session.pk), at)

    return noted


@pytest.mark.parametrize(
    ("expires", "at", "pruned"),
    [
        (-30 * DAY - SECOND, -60 * DAY, 1),
        (-30 * DAY, -60 * DAY, 0),
        (-60 * DAY, -30 * DAY - SECOND, 1),
        (-60 * DAY, -30 * DAY, 0),  # written late, after an outage
        (SECOND, -3000 * DAY, 0),  # not over yet
        (300 * DAY, -60 * DAY, 0),
        (None, -30 * DAY - SECOND, 1),  # it has no end: only the entry itself has an age
        (None, -30 * DAY, 0),
    ],
)
def test_an_entry_goes_once_it_and_its_session_are_old(noted, run, preview, expires, at, pruned):
    noted(None if expires is None else NOW + expires, NOW + at)

    assert preview(JOB).jobs[0].due == pruned
    assert run(JOB).jobs[0].changed == pruned
    assert OccurrenceLog.objects.count() == 1 - pruned


def test_pruning_in_tiny_batches_leaves_sessions_and_series_alone(noted, run, settings):
    settings.SESSION_CLEANUP_BATCH_SIZE = 2
    for number in range(7):
        noted(NOW - (28 + number) * DAY, NOW - 100 * DAY)

    assert run(JOB).jobs[0].changed == 4
    assert (run(JOB).jobs[0].changed, OccurrenceLog.objects.count()) == (0, 3)
    assert (Session.objects.count(), SessionSeries.objects.count()) == (7, 7)


def test_a_deleted_occurrence_stays_deleted_when_the_log_is_pruned(db, run, settings):
    settings.SESSION_CLEANUP_OCCURRENCE_LOG_DAYS = 7
    series = SeriesFactory(horizon_days=20)
    run("recurring-generate")
    series.sessions.all().delete()
    now = NOW + 12 * DAY

    assert run(JOB, now=now).jobs[0].changed == 5  # those that ended on the 4th to the 8th
    run("recurring-generate", now=now)
    done = Edit(SessionSeries.objects.get(), {"start_time": time(15)}).apply(now=now)
    run("recurring-generate", now=now)

    assert done.counts()["added"] == 0
    days = {wall.day for wall in series.sessions.values_list("occurrence", flat=True)}
    assert days == {25, 26, 27, 28, 29, 30, 31, *range(1, 6)}  # what was never generated before


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("later", ["Pacific/Kiritimati", "America/New_York", "Pacific/Pago_Pago"])
def test_no_edit_misses_what_is_pruned_at_any_hour(db, run, settings, zone, later):
    """Also across the days when clocks change, and when the series moves around the world."""
    settings.SESSION_CLEANUP_OCCURRENCE_LOG_DAYS = 7
    first = datetime(2026, 10, 30, 12, tzinfo=UTC)
    series = SeriesFactory(
        rule="FREQ=HOURLY",
        time_zone=zone,
        first_date=first.date(),
        duration=timedelta(seconds=1),
        horizon_days=3,
    )
    run("recurring-generate", now=first)
    series.sessions.all().delete()
    SessionSeries.objects.update(time_zone=later)
    series.refresh_from_db()

    for hours in range(0, 14 * 24, 23):
        now = first + hours * HOUR
        before = closed_days(series, now)
        run(JOB, now=now)
        assert closed_days(series, now) == before
    assert not OccurrenceLog.objects.exists()
