"""What happens to recurring-generate when others are at work."""

from datetime import date, datetime
from itertools import count

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import OccurrenceLog, SeriesException, Session, SessionSeries
from session_cleanup.recurrence import generation
from session_cleanup.recurrence.edits import Edit
from session_cleanup.recurrence.planning import Planner, planned
from tests.factories import DAY, HOUR, NOW, OccurrenceFactory, SeriesFactory, UserFactory
from tests.faults.adversaries import locked
from tests.faults.shapes import Counted


def test_a_series_that_changes_meanwhile_is_read_again(run, monkeypatch):
    """Between the reading of it and the lock on it."""
    series = SeriesFactory(horizon_days=3)
    lock = generation.Creation._lock
    changes = iter([{"name": "Late"}])

    def late(self, parts):
        SessionSeries.objects.filter(pk=series.pk).update(**next(changes, {"is_active": True}))
        return lock(self, parts)

    monkeypatch.setattr(generation.Creation, "_lock", late)

    report = run("recurring-generate").jobs[0]

    assert (report.end_state, report.changed) == ("drained", 4)
    assert set(Session.objects.values_list("title", flat=True)) == {
        f"Late - 0{day}/01/2026" for day in range(4, 8)
    }


def test_a_series_that_keeps_changing_is_counted_as_skipped(run, monkeypatch):
    series = SeriesFactory(horizon_days=3)
    lock, changes = generation.Creation._lock, count()

    def late(self, parts):
        SessionSeries.objects.filter(pk=series.pk).update(settings={"at": next(changes)})
        return lock(self, parts)

    monkeypatch.setattr(generation.Creation, "_lock", late)

    report = run("recurring-generate").jobs[0]

    assert (report.end_state, report.skipped, report.changed) == ("drained_with_skips", {"locked": 1}, 0)


def test_a_series_that_is_made_inactive_meanwhile_gets_nothing(run, monkeypatch):
    series = SeriesFactory()
    lock = generation.Creation._lock

    def late(self, parts):
        SessionSeries.objects.filter(pk=series.pk).update(is_active=False)
        return lock(self, parts)

    monkeypatch.setattr(generation.Creation, "_lock", late)

    assert run("recurring-generate").jobs[0].changed == 0
    assert not Session.objects.exists()


def test_nothing_is_passed_over_when_a_part_of_a_series_was_locked(run, monkeypatch):
    """The series is generated in several batches; at the second one somebody has its lock."""
    series = SeriesFactory(horizon_days=9)
    lock = generation.Creation._lock
    turns = iter([False, True])

    def taken(self, parts):
        if next(turns, False):
            self.missed |= {part.series.pk for part in parts}
            return []
        return lock(self, parts)

    monkeypatch.setattr(generation.Creation, "_lock", taken)

    report = run("recurring-generate", batch_size=3).jobs[0]

    assert (report.end_state, report.changed) == ("drained", 10)
    assert series.sessions.count() == 10
    assert [each["created"] for each in report.product["series"]] == [10]


def test_nothing_is_passed_over_when_a_part_of_a_series_was_refused(run, monkeypatch):
    series = SeriesFactory(horizon_days=9)
    title = SessionSeries.title
    refused = iter([False] * 4 + [True])

    def refuse_one(self, wall):
        if next(refused, False):
            raise ValueError("the test says no")
        return title(self, wall)

    monkeypatch.setattr(SessionSeries, "title", refuse_one)

    failed = run("recurring-generate", batch_size=3).jobs[0]
    again = run("recurring-generate", batch_size=3).jobs[0]

    assert (failed.end_state, failed.changed) == ("failed", 3)
    assert "more" not in failed.error
    assert (again.end_state, again.changed, series.sessions.count()) == ("drained", 7, 10)


USERS = Counted(get_user_model(), live="")


@pytest.mark.postgres
def test_a_lock_that_is_not_to_be_had_holds_up_one_series_alone(transactional_db, run, settings):
    """Somebody has locked a member of it: no session can refer to that user until they let go."""
    settings.SESSION_CLEANUP_LOCKED_WAIT_MS = 50
    one, *others = SeriesFactory.create_batch(3, horizon_days=1)
    one.members.add(member := UserFactory())

    with locked([(USERS, member.pk)]):
        report = run("recurring-generate").jobs[0]

    assert (report.end_state, report.skipped) == ("drained_with_skips", {"locked": 1})
    assert (report.changed, one.sessions.count()) == (4, 0)
    assert {series.sessions.count() for series in others} == {2}
    assert run("recurring-generate").jobs[0].changed == one.sessions.count() == 2


@pytest.mark.postgres
def test_a_bad_series_that_is_locked_holds_up_nobody(transactional_db, run):
    bad = SeriesFactory(rule="FREQ=FORTNIGHTLY")
    good = SeriesFactory(horizon_days=1)

    with locked([(Counted(SessionSeries, live=""), bad.pk)]):
        report = run("recurring-generate").jobs[0]

    bad.refresh_from_db()
    assert (report.end_state, good.sessions.count(), bad.problem) == ("failed", 2, "")
    assert "FREQ is 'FORTNIGHTLY'" in report.error
    assert run("recurring-generate").jobs[0].changed == 0
    bad.refresh_from_db()
    assert "FREQ is 'FORTNIGHTLY'" in bad.problem


@pytest.mark.parametrize(
    "error",
    [IndexError("list index out of range"), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), KeyError()],
)
def test_a_fault_in_the_expansion_of_one_series_is_its_own(run, monkeypatch, error):
    """Whatever the library that expands its rule raises."""
    bad, good = SeriesFactory.create_batch(2, horizon_days=1)
    starts = SessionSeries.starts

    def fault(self, *window):
        if self == bad:
            raise error
        return starts(self, *window)

    monkeypatch.setattr(SessionSeries, "starts", fault)

    report = run("recurring-generate").jobs[0]

    bad.refresh_from_db()
    assert (report.end_state, report.changed, good.sessions.count()) == ("failed", 2, 2)
    assert bad.problem == f"{str(error) or 'KeyError'}."


def test_a_batch_that_fails_leaves_nothing_behind(run, monkeypatch):
    SeriesFactory(horizon_days=3)

    def fail(self, parts):
        create(self, parts)
        raise RuntimeError("the test says no")

    create = generation.Creator.create
    monkeypatch.setattr(generation.Creator, "create", fail)

    report = run("recurring-generate").jobs[0]

    assert (report.end_state, report.changed, report.figures) == ("failed", 0, {})
    assert not Session.objects.exists()
    assert not OccurrenceLog.objects.exists()
    assert SessionSeries.objects.get().generated_until is None


def test_one_occurrence_of_a_series_is_there_once(db):
    session = OccurrenceFactory()

    with pytest.raises(IntegrityError), transaction.atomic():
        OccurrenceFactory(series=session.series, occurrence=session.occurrence)
    OccurrenceFactory(occurrence=session.occurrence)
    OccurrenceFactory(series=None, occurrence=session.occurrence)
    OccurrenceFactory(series=None, occurrence=session.occurrence)


def test_memory_holds_one_batch(db):
    """Of a series with thousands of sessions too."""
    SeriesFactory(rule="FREQ=HOURLY", horizon_days=100)
    planner = Planner(iter(SessionSeries.objects.all()), NOW)

    sizes = []
    while parts := planner.take(500):
        sizes.append(sum(len(part.starts) for part in parts))
        assert parts[-1].until > parts[-1].starts[-1][0]

    assert sizes[:-1] == [500] * (len(sizes) - 1)
    assert sum(sizes) == len(planned(SessionSeries.objects.get(), NOW).starts) > 2400


PHASES = [Phase.explicit, Phase.reuse, Phase.generate]  # to make a failure smaller takes minutes
RULES = st.sampled_from(
    [
        *("FREQ=DAILY", "FREQ=DAILY;INTERVAL=2", "FREQ=WEEKLY;BYDAY=MO,TH", "FREQ=MONTHLY;BYMONTHDAY=-1"),
        *("FREQ=DAILY;BYHOUR=8,20", "FREQ=DAILY;COUNT=12", "FREQ=WEEKLY;BYDAY=SA;UNTIL=20260120"),
    ]
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland"])
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "rule": RULES,
        "time_zone": ZONES,
        "name": st.sampled_from(["a", "b"]),
        "start_time": st.times().map(lambda each: each.replace(second=0, microsecond=0)),
    },
)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_preview_of_a_change_is_what_it_does_and_the_past_stays(transactional_db, data):
    """Whatever is changed, whichever sessions were deleted or have begun before."""
    Session.objects.all().delete()
    SessionSeries.objects.all().delete()
    series = SeriesFactory(rule=data.draw(RULES), time_zone=data.draw(ZONES), horizon_days=20)
    series.members.add(UserFactory())
    start = generation_run(NOW)
    assert start.error is None
    now = NOW + data.draw(st.integers(0, 10)) * DAY + HOUR
    sessions = list(series.sessions.order_by("starts_at"))
    chosen = (
        st.lists(st.sampled_from(range(len(sessions))), max_size=3, unique=True) if sessions else st.just([])
    )
    for number in data.draw(chosen):
        sessions[number].delete()
    some = list(series.sessions.filter(starts_at__gt=now).order_by("starts_at"))
    following = data.draw(st.sampled_from([None, *some]))
    edit = Edit(series, data.draw(CHANGES), following)
    past = list(Session.objects.filter(starts_at__lte=now).order_by("pk").values())

    try:
        preview = edit.preview(now=now).counts()
    except ValidationError:  # the new rule ends before it would begin
        with pytest.raises(ValidationError):
            edit.apply(now=now)
        return
    done = edit.apply(now=now).counts()
    again = generation_run(now + DAY)

    assert preview == done
    assert list(Session.objects.filter(pk__in=[each["id"] for each in past]).order_by("pk").values()) == past
    assert again.error is None
    pairs = Session.objects.values_list("series", "occurrence")
    assert len(set(pairs)) == len(pairs)


def generation_run(now):
    return runner.run(RunRequest(jobs=("recurring-generate",)), now=now).jobs[0]


def test_an_exception_that_is_moved_needs_its_time(db):
    for values in ({"kind": "moved"}, {"kind": "skipped", "moved_to": datetime(2026, 1, 1)}):
        with pytest.raises(IntegrityError), transaction.atomic():
            SeriesException.objects.create(series=SeriesFactory(), date=date(2026, 1, 1), **values)
