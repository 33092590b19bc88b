"""System 5: recurring sessions. The lessons of the original stand here by name."""

from datetime import UTC, date, datetime, time, timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import (
    CleanupRun,
    Hold,
    OccurrenceLog,
    SeriesException,
    Session,
    SessionMember,
    SessionSeries,
    UndoRecord,
)
from session_cleanup.policies import registry
from session_cleanup.recurrence.generation import Generate
from tests.factories import DAY, HOUR, NOW, SECOND, OccurrenceFactory, SeriesFactory, UserFactory

POSTGRES = connection.vendor == "postgresql"


@pytest.fixture(autouse=True)
def _preset(settings):
    settings.SESSION_CLEANUP_PRESETS = ["recurring"]


@pytest.fixture
def job(run):
    def job(name, now=NOW, **options):
        return run(f"recurring-{name}", now=now, **options).jobs[0]

    return job


def starts(**which):
    rows = Session.objects.filter(kind="recurring", **which).order_by("starts_at")
    return list(rows.values_list("starts_at", flat=True))


def events(**which):
    return sorted(OccurrenceLog.objects.filter(**which).values_list("event", flat=True))


def at(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone)


# Generating


def test_sessions_are_generated_for_the_days_ahead(job):
    series = SeriesFactory(name="Yoga", settings={"room": 7}, horizon_days=7)
    member = UserFactory()
    series.members.add(member, through_defaults={"permission": "edit"})

    report = job("generate")

    first = Session.objects.earliest("starts_at")
    assert (report.end_state, report.changed, report.figures) == ("drained", 8, {"generated": 8})
    assert report.related == {"session_cleanup.SessionMember": 8}
    assert report.product == {
        "series": [{"series": "Yoga", "uid": str(series.uid), "created": 8}],
        "more": 0,
    }
    assert (first.title, first.kind, first.state) == ("Yoga - 04/01/2026", "recurring", "scheduled")
    assert (first.starts_at, first.expires_at) == (at("2026-01-04T08:00"), at("2026-01-04T09:00"))
    assert (first.settings, first.occurrence) == ({"room": 7}, datetime(2026, 1, 4, 9))
    assert first.members.values_list("user", "permission").get() == (member.pk, "edit")
    assert starts()[-1] == at("2026-01-11T08:00")
    assert events() == ["generated"] * 8


def test_the_setting_says_how_far_ahead_unless_the_series_does(job, settings):
    settings.SESSION_CLEANUP_HORIZON_DAYS = 2
    own, other = SeriesFactory(horizon_days=4), SeriesFactory()

    job("generate")

    assert (own.sessions.count(), other.sessions.count()) == (5, 3)


def test_a_second_run_of_the_day_asks_one_question(job, django_assert_max_num_queries):
    SeriesFactory.create_batch(3)
    job("generate")

    with django_assert_max_num_queries(16):
        again = job("generate", now=NOW + HOUR)

    assert (again.end_state, again.changed, again.batches) == ("drained", 0, 0)


def test_what_is_over_is_not_generated_and_what_is_under_way_is(job):
    SeriesFactory(first_date=date(2020, 1, 1), start_time=time(6), horizon_days=1)  # over at 06:00 UTC
    SeriesFactory(first_date=date(2020, 1, 1), start_time=time(6, 30), horizon_days=1)

    job("generate")

    assert starts() == [at("2026-01-04T05:30"), at("2026-01-05T05:00"), at("2026-01-05T05:30")]


def test_a_preview_counts_what_a_run_creates(job):
    SeriesFactory(horizon_days=9)
    series = SeriesFactory(rule="FREQ=WEEKLY;BYDAY=MO,FR")
    series.members.add(UserFactory(), UserFactory())
    OccurrenceFactory(series=series, starts_at=at("2026-01-05T08:00"), occurrence=datetime(2026, 1, 5, 9))
    SeriesException.objects.create(series=series, date=date(2026, 1, 9))

    preview = job("generate", dry_run=True)
    before = Session.objects.count()
    run = job("generate")

    assert before == 1
    assert preview.due == run.changed == 10 + 9 - 2
    assert preview.related == run.related == {"session_cleanup.SessionMember": 2 * 7}
    assert preview.product == run.product


def test_one_series_by_hand(job, capsys):
    SeriesFactory()
    series = SeriesFactory(first_date=date(2100, 1, 1) - 40 * DAY)

    report = job("generate", series=series.uid, days_ahead=366, now=at("2099-12-25T00:00"))

    assert report.changed == series.sessions.count() == Session.objects.count() == 367
    call_command("cleanup_sessions", "recurring-generate", "--series", str(series.uid), "--days-ahead", "1")
    assert "Sessions generated: 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ["recurring-generate", "--series", "7"],
        ["recurring-generate", "--series", str(uuid4())],
        ["recurring-generate", "--days-ahead", "0"],
        ["recurring-generate", "--days-ahead", "367"],
        ["recurring-close", "--days-ahead", "3"],
    ],
)
def test_options_are_refused_before_anything_is_touched(db, options):
    SeriesFactory()

    with pytest.raises(CommandError) as refused:
        call_command("cleanup_sessions", *options)

    assert refused.value.returncode == 2
    assert not Session.objects.exists()


def test_small_batches_and_limits_end_where_the_next_run_goes_on(job):
    SeriesFactory.create_batch(3, horizon_days=9)

    capped = job("generate", max_rows=7, batch_size=3)
    rest = job("generate", batch_size=3)

    assert (capped.end_state, capped.changed, capped.batches >= 3) == ("capped", 7, True)
    assert (rest.end_state, rest.changed) == ("drained", 23)
    assert len(set(starts())) == 10


def test_an_inactive_series_rests(job):
    series = SeriesFactory(is_active=False)

    assert job("generate").changed == 0
    SessionSeries.objects.update(is_active=True)
    assert job("generate").changed == series.sessions.count() == 31


def test_exceptions_of_a_day(job):
    series = SeriesFactory(horizon_days=3)
    days = [date(2026, 1, day) for day in (4, 5, 6)]
    SeriesException.objects.create(series=series, date=days[0], kind="skipped")
    SeriesException.objects.create(series=series, date=days[1], kind="cancelled")
    SeriesException.objects.create(
        series=series, date=days[2], kind="moved", moved_to=datetime(2026, 1, 6, 15)
    )

    job("generate")

    cancelled, moved, ordinary = Session.objects.order_by("starts_at")
    assert (cancelled.state, cancelled.is_detached) == ("cancelled", True)
    assert (moved.starts_at, moved.occurrence) == (at("2026-01-06T14:00"), datetime(2026, 1, 6, 9))
    assert ordinary.is_detached is False
    assert events() == ["cancelled", "generated", "generated", "generated", "moved"]


def test_a_rule_that_ends(job):
    SeriesFactory(rule="FREQ=DAILY;COUNT=3")
    SeriesFactory(rule="FREQ=DAILY;UNTIL=20260105")

    assert job("generate").changed == 3 + 2
    assert job("generate", now=NOW + 40 * DAY).changed == 0


# Activating and closing


def test_activated_just_past_the_moment_and_not_at_it(job):
    due = OccurrenceFactory(starts_at=NOW - SECOND)
    OccurrenceFactory(starts_at=NOW)

    report = job("activate")

    assert list(Session.objects.active()) == [due]
    assert report.figures == {"activated": 1}
    assert events(session_uid=due.uid) == ["activated"]


@pytest.mark.parametrize(
    ("visible_before", "visible_at"),
    [
        (timedelta(0), "2026-01-04T08:00"),
        (timedelta(minutes=30), "2026-01-04T07:30"),
        (None, "2026-01-03T23:00"),  # midnight in Berlin
    ],
)
def test_a_series_says_from_when_its_sessions_are_to_be_seen(job, visible_before, visible_at):
    SeriesFactory(visible_before=visible_before)

    job("generate")

    session = Session.objects.earliest("starts_at")
    assert session.visible_at == at(visible_at)
    assert list(Session.objects.visible(at(visible_at))) == [session]
    assert not Session.objects.visible(at(visible_at) - SECOND).exists()
    assert not Session.objects.visible(session.expires_at).exists()


def test_a_moment_is_taken_where_the_project_has_none_with_a_zone(db, settings):
    settings.USE_TZ = False

    assert not Session.objects.visible(NOW).exists()
    assert not Session.objects.upcoming(NOW, DAY).exists()


def test_closed_at_its_own_end_and_just_past_it(job):
    over = OccurrenceFactory(is_active=True, starts_at=NOW - HOUR - SECOND)
    OccurrenceFactory(is_active=True, starts_at=NOW - HOUR)

    report = job("close")

    over.refresh_from_db()
    assert (over.state, over.end_reason, over.ended_at) == ("closed", "expired", NOW - SECOND)
    assert report.figures == {"closed": 1}
    assert list(Session.objects.ended()) == [over]
    assert events() == ["closed"]


def test_what_nothing_activated_is_closed_as_missed_by_either_job(job):
    for name in ("activate", "close"):
        session = OccurrenceFactory(starts_at=NOW - DAY)

        report = job(name)

        session.refresh_from_db()
        assert (session.state, session.ended_at) == ("missed", NOW - DAY + HOUR)
        assert report.figures["missed"] == report.changed == 1
        assert events(session_uid=session.uid) == ["missed"]


def test_a_cancelled_session_is_never_activated(job):
    OccurrenceFactory(starts_at=NOW - SECOND, ended_at=NOW - DAY, end_reason="cancelled")

    assert job("activate").changed == job("close").changed == 0


def test_a_held_session_waits(job):
    session = OccurrenceFactory(starts_at=NOW - SECOND)
    Hold.objects.place(session)

    assert job("activate").skipped == {"held": 1}
    assert events() == []


def test_closed_sessions_are_archived_and_can_be_taken_back(job, settings):
    old = OccurrenceFactory(starts_at=NOW - 92 * DAY, ended_at=NOW - 90 * DAY - SECOND)
    kept = OccurrenceFactory(starts_at=NOW - 92 * DAY, ended_at=NOW - 90 * DAY)
    before = Session.objects.filter(pk=old.pk).values().get()

    job("archive")

    assert list(Session.objects.all()) == [kept]
    assert UndoRecord.objects.count() == 1
    call_command("restore_sessions", str(CleanupRun.objects.get().pk), stdout=StringIO())
    assert Session.objects.filter(pk=old.pk).values().get() == before


def test_the_jobs_are_called_in_the_order_in_which_they_make_sense():
    names = [job.name for job in registry.jobs() if job.preset == "recurring"]

    assert names == [f"recurring-{name}" for name in ("activate", "close", "generate", "archive")]


def test_one_call_does_all_and_says_how_many(run):
    series = SeriesFactory(horizon_days=1)
    OccurrenceFactory(series=series, starts_at=NOW - SECOND)
    OccurrenceFactory(series=series, is_active=True, starts_at=NOW - DAY)

    figures = [job.figures for job in run("recurring").jobs]

    assert figures == [{"activated": 1}, {"closed": 1}, {"generated": 2}, {}]


# Lessons


def test_a_template_never_closes_itself(run, job):
    """The recurrence ended on day one."""
    series = SeriesFactory(first_date=date(2020, 1, 1))

    run("recurring", now=NOW + 400 * DAY)

    series.refresh_from_db()
    assert series.is_active
    assert not Session.objects.filter(pk=series.pk, title=series.name).exists()
    assert "session_cleanup.SessionSeries" not in {job.model for job in registry.jobs()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_series_survives_a_thousand_runs(run):
    tomorrow = NOW.date() + DAY
    SeriesFactory(first_date=tomorrow, horizon_days=2, start_time=time(7, 30), duration=2 * HOUR)

    runs = 200 if POSTGRES else 1000  # which take minutes, and the database makes no difference

    for day in range(runs):
        report = run("recurring", now=NOW + day * DAY + HOUR)
        assert report.exit_status == 0, day

    assert OccurrenceLog.objects.filter(event="generated").count() == runs + 1
    assert OccurrenceLog.objects.filter(event="activated").count() == runs - 1
    assert OccurrenceLog.objects.filter(event="closed").count() == runs - 2
    assert not OccurrenceLog.objects.filter(event="missed").exists()


def test_a_missed_activation_hour_is_caught_up_and_the_session_closed(job):
    """It was missed for ever, and the session never closed."""
    session = OccurrenceFactory(starts_at=NOW - 2 * HOUR, expires_at=NOW + 2 * HOUR)

    job("activate")
    session.refresh_from_db()
    activated = session.state
    job("close", now=NOW + 3 * HOUR)
    session.refresh_from_db()

    assert (activated, session.state, session.ended_at) == ("active", "closed", NOW + 2 * HOUR)


def test_a_two_day_outage_is_caught_up(run):
    long = SeriesFactory(duration=3 * DAY, rule="FREQ=DAILY;INTERVAL=5")
    short = SeriesFactory()
    run("recurring")

    run("recurring", now=NOW + 2 * DAY + 2.5 * HOUR)

    began = [series.sessions.order_by("starts_at")[:4] for series in (long, short)]
    assert [session.state for session in began[0]] == ["active", *["scheduled"] * 3]
    assert [session.state for session in began[1]] == ["missed", "missed", "active", "scheduled"]
    run("recurring", now=NOW + 4 * DAY)
    assert long.sessions.earliest("starts_at").state == "closed"


def test_a_window_over_midnight_ends_after_it_began(job):
    SeriesFactory(start_time=time(23, 30), duration=2 * HOUR)

    job("generate")

    session = Session.objects.earliest("starts_at")
    assert (session.starts_at, session.expires_at) == (at("2026-01-04T22:30"), at("2026-01-05T00:30"))
    job("activate", now=at("2026-01-05T00:29"))
    job("close", now=at("2026-01-05T00:29"))
    assert Session.objects.active().get() == session


def test_one_bad_series_is_recorded_and_the_others_go_on(job):
    """One bad template aborted all."""
    good = [SeriesFactory(horizon_days=1)]
    bad = SeriesFactory(rule="FREQ=FORTNIGHTLY")
    lost = SeriesFactory(time_zone="Mars/Olympus_Mons")
    good.append(SeriesFactory(horizon_days=1))

    report = job("generate")

    bad.refresh_from_db()
    lost.refresh_from_db()
    assert [series.sessions.count() for series in good] == [2, 2]
    assert (report.end_state, report.changed) == ("failed", 4)
    assert bad.name in report.error
    assert "1 more have a problem too" in report.error
    assert "FREQ is 'FORTNIGHTLY'" in bad.problem
    assert "Mars/Olympus_Mons" in lost.problem

    SessionSeries.objects.filter(pk=bad.pk).update(rule="FREQ=DAILY", horizon_days=1)
    lost.delete()
    mended = job("generate")
    bad.refresh_from_db()
    assert (mended.end_state, mended.changed, bad.problem) == ("drained", 2, "")


@pytest.mark.postgres
def test_a_series_that_the_database_refuses_is_found_and_the_others_go_on(job, monkeypatch):
    good, bad, other = SeriesFactory.create_batch(3, horizon_days=1)
    title = SessionSeries.title
    monkeypatch.setattr(
        SessionSeries, "title", lambda self, wall: "\x00" if self == bad else title(self, wall)
    )

    report = job("generate")

    bad.refresh_from_db()
    assert (report.end_state, report.changed, bad.sessions.count()) == ("failed", 4, 0)
    assert good.sessions.count() == other.sessions.count() == 2
    assert "SQLSTATE 22P05" in bad.problem


def test_a_deleted_occurrence_stays_deleted(job):
    series = SeriesFactory(horizon_days=5)
    job("generate")
    Session.objects.filter(starts_at__gte=NOW + 2 * DAY).delete()
    before = starts()

    job("generate")
    job("generate", series=series.uid, days_ahead=5)
    job("generate", now=NOW + DAY)

    assert starts()[:-1] == before
    assert starts()[-1] == at("2026-01-10T08:00")


def test_dates_that_some_months_lack_are_pointed_out():
    """Dates 29 to 31 vanished silently."""
    skipping = SeriesFactory.build(rule="FREQ=MONTHLY;BYMONTHDAY=31", first_date=date(2026, 1, 31))
    last = SeriesFactory.build(rule="FREQ=MONTHLY;BYMONTHDAY=-1", first_date=date(2026, 1, 31))

    found = last.starts(at("2026-01-01T00:00"), at("2026-05-01T00:00"))

    assert "Months without a day 31 are skipped" in skipping.notice
    assert last.notice is None
    assert [wall.date().isoformat()[5:] for _, wall in found] == ["01-31", "02-28", "03-31", "04-30"]


def test_the_log_survives_the_deletion_of_series_and_session(job):
    """Deleting a template erased its log."""
    series = SeriesFactory(name="Yoga", horizon_days=1)
    job("generate")

    series.delete()

    assert Session.objects.filter(series=None).count() == 2
    assert job("activate", now=NOW + 3 * HOUR).changed == 1  # what exists goes its way
    Session.objects.all().delete()
    assert events(series_name="Yoga") == ["generated", "generated"]
    assert OccurrenceLog.objects.filter(session_title="Yoga - 04/01/2026").exists()


@pytest.mark.parametrize(
    ("zone", "start"), [("Asia/Kathmandu", "03:15"), ("America/St_Johns", "12:30"), ("UTC", "09:00")]
)
def test_local_times_are_not_stored_as_utc(job, zone, start):
    SeriesFactory(time_zone=zone)

    job("generate")

    assert starts()[-1] == at(f"2026-02-03T{start}")


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        ("Europe/Berlin", "2026-03-28T08:00", "2026-03-29T07:00"),
        ("America/New_York", "2026-03-07T14:00", "2026-03-08T13:00"),
        ("Australia/Sydney", "2026-04-03T22:00", "2026-04-04T23:00"),
        ("America/Santiago", "2026-04-04T12:00", "2026-04-05T13:00"),
        ("Asia/Kolkata", "2026-03-28T03:30", "2026-03-29T03:30"),
    ],
)
def test_nine_stays_nine_over_dst_in_both_hemispheres(job, zone, before, after):
    """DST moved 09:00 to 10:00."""
    day = at(before).date() - DAY
    SeriesFactory(time_zone=zone, first_date=day)

    job("generate", now=datetime(day.year, day.month, day.day, tzinfo=UTC))

    found = starts()
    assert at(before) in found
    assert found[found.index(at(before)) + 1] == at(after)
    assert {wall.time() for wall in Session.objects.values_list("occurrence", flat=True)} == {time(9)}


def test_a_start_in_a_gap_moves_forward_and_one_in_a_fold_takes_the_first(job):
    SeriesFactory(start_time=time(2, 30), first_date=date(2026, 3, 29), rule="FREQ=DAILY;COUNT=1")
    SeriesFactory(start_time=time(2, 30), first_date=date(2026, 10, 25), rule="FREQ=DAILY;COUNT=1")

    job("generate", now=at("2026-03-28T00:00"))
    job("generate", now=at("2026-10-24T00:00"))

    assert starts() == [at("2026-03-29T01:30"), at("2026-10-25T00:30")]


def test_a_duration_is_elapsed_time_over_dst(job):
    SeriesFactory(start_time=time(1), first_date=date(2026, 3, 29), duration=4 * HOUR)

    job("generate", now=at("2026-03-28T00:00"))

    session = Session.objects.earliest("starts_at")
    assert session.expires_at - session.starts_at == 4 * HOUR


def test_the_counts_are_of_this_run(job):
    """The returned counts were not of this run."""
    SeriesFactory(name="old", horizon_days=3)
    job("generate")
    new = SeriesFactory(name="new", horizon_days=3)

    report = job("generate")

    assert report.changed == 4
    assert report.product["series"] == [{"series": "new", "uid": str(new.uid), "created": 4}]


def test_a_session_that_somebody_made_by_hand_is_not_made_twice_nor_counted(job):
    series = SeriesFactory(horizon_days=1)
    OccurrenceFactory(series=series, occurrence=datetime(2026, 1, 4, 9), title="by hand")

    report = job("generate")

    assert (report.changed, series.sessions.count()) == (1, 2)
    assert series.sessions.earliest("pk").title == "by hand"
    assert SessionMember.objects.count() == 0


def test_a_series_of_another_kind_is_refused_by_nobody_silently(db):
    assert SessionSeries._meta.get_field("kind").editable is False
    with pytest.raises(ConfigurationError, match="no active series"):
        Generate(series=SeriesFactory(kind="browser").uid).refuse("default")
