"""Changes of a series and of one of its sessions."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.core.exceptions import ValidationError

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import OccurrenceLog, SeriesException, Session, SessionSeries
from session_cleanup.recurrence import single
from session_cleanup.recurrence.edits import Edit
from tests.factories import DAY, HOUR, NOW, MemberFactory, SeriesFactory, UserFactory

NINE = time(9)


@pytest.fixture
def series(db, run):
    """Daily at 09:00 in Berlin, generated from the 4th to the 11th; it is the 4th, 07:00."""
    SeriesFactory(name="Yoga", horizon_days=7)
    run("recurring-generate")
    return SessionSeries.objects.get()


def walls(series):
    rows = series.sessions.order_by("occurrence")
    return [f"{wall:%d %H:%M}" for wall in rows.values_list("occurrence", flat=True)]


def on(day, **values):
    return Session.objects.get(
        occurrence__gte=datetime(2026, 1, day), occurrence__lt=datetime(2026, 1, day + 1), **values
    )


def log(event):
    return OccurrenceLog.objects.filter(event=event).count()


def test_all_that_is_to_come_at_another_time(series):
    keys = list(series.sessions.order_by("pk").values_list("pk", "uid"))
    edit = Edit(series, {"start_time": time(15), "name": "Pilates", "duration": 2 * HOUR})

    preview = edit.preview(now=NOW).counts()
    done = edit.apply(now=NOW).counts()

    assert preview == done == {"changed": 8, "moved": 8, "removed": 0, "added": 0, "kept": 0}
    assert list(series.sessions.order_by("pk").values_list("pk", "uid")) == keys
    first = on(4)
    assert (first.title, first.occurrence) == ("Pilates - 04/01/2026", datetime(2026, 1, 4, 15))
    assert (first.starts_at, first.expires_at) == (
        datetime(2026, 1, 4, 14, tzinfo=UTC),
        datetime(2026, 1, 4, 16, tzinfo=UTC),
    )
    assert first.visible_at == first.starts_at
    assert log("moved") == 8


def test_what_has_begun_is_past_or_detached_stays(series, run):
    run("recurring-activate", now=NOW + 2.5 * HOUR)
    single.change(on(6), title="Special", now=NOW)
    single.cancel(on(7), now=NOW)

    Edit(series, {"start_time": time(15)}).apply(now=NOW + 2.5 * HOUR)

    assert walls(series)[:5] == ["04 09:00", "05 15:00", "06 09:00", "07 09:00", "08 15:00"]
    assert [on(4).state, on(6).title, on(7).state] == ["active", "Special", "cancelled"]


def test_a_preview_writes_nothing(series, django_assert_num_queries):
    before = list(Session.objects.order_by("pk").values())

    Edit(series, {"rule": "FREQ=WEEKLY;BYDAY=MO", "name": "x"}).preview(now=NOW)

    series.refresh_from_db()
    assert (series.rule, series.name) == ("FREQ=DAILY", "Yoga")
    assert list(Session.objects.order_by("pk").values()) == before


def test_another_rule_removes_and_adds(series):
    monday = on(5).pk

    done = Edit(series, {"rule": "FREQ=WEEKLY;BYDAY=MO"}).apply(now=NOW)

    assert done.counts() == {"changed": 0, "moved": 0, "removed": 7, "added": 0, "kept": 0}
    assert walls(series) == ["05 09:00"]
    assert on(5).pk == monday
    assert log("cancelled") == 7

    again = Edit(series, {"rule": "FREQ=DAILY"}).apply(now=NOW)

    assert again.counts()["added"] == 7
    assert walls(series) == [f"{day:02} 09:00" for day in range(4, 12)]
    assert not SeriesException.objects.exists()


def test_what_was_deleted_does_not_come_back_at_another_time(series, run):
    on(6).delete()

    Edit(series, {"start_time": time(15)}).apply(now=NOW)
    run("recurring-generate", now=NOW + DAY)

    assert "06 15:00" not in walls(series)
    assert walls(series)[-1] == "12 15:00"
    assert series.exceptions.get().date == date(2026, 1, 6)


def test_this_and_following_get_a_series_of_their_own(series, run):
    member = UserFactory()
    series.members.add(member, through_defaults={"permission": "edit"})
    SeriesException.objects.create(series=series, date=date(2026, 1, 20))

    Edit(series, {"start_time": time(8), "name": "Early"}, following=on(8)).apply(now=NOW)

    early = SessionSeries.objects.get(name="Early")
    assert walls(series) == ["04 09:00", "05 09:00", "06 09:00", "07 09:00"]
    assert walls(early) == ["08 08:00", "09 08:00", "10 08:00", "11 08:00"]
    assert series.rule == "FREQ=DAILY;UNTIL=20260108T085959"
    assert (early.first_date, early.rule) == (date(2026, 1, 8), "FREQ=DAILY")
    assert early.seriesmember_set.get().permission == "edit"
    assert (series.exceptions.count(), early.exceptions.count()) == (0, 1)

    run("recurring-generate", now=NOW + 14 * DAY)

    assert series.sessions.count() == 4
    assert "20 08:00" not in walls(early)
    assert walls(early)[-1] == "25 08:00"


def test_what_was_deleted_after_a_split_does_not_come_back(series):
    """The log has it under the series that generated it."""
    Edit(series, {"name": "Rest"}, following=on(8)).apply(now=NOW)
    rest = SessionSeries.objects.get(name="Rest")
    on(10).delete()

    Edit(rest, {"start_time": time(15)}).apply(now=NOW)

    assert walls(rest) == ["08 15:00", "09 15:00", "11 15:00"]


def test_what_a_split_took_away_was_not_deleted(series):
    """Nor was what the log knows by another time of its day."""
    Edit(series, {"start_time": time(15)}).apply(now=NOW)
    Edit(series, {"name": "Rest"}, following=on(8)).apply(now=NOW)
    Edit(SessionSeries.objects.get(name="Rest"), {"rule": "FREQ=DAILY;INTERVAL=2"}).apply(now=NOW)

    done = Edit(series, {"rule": "FREQ=DAILY"}).apply(now=NOW)

    assert done.counts()["added"] == 4
    assert walls(series) == [f"{day:02} 15:00" for day in range(4, 12)]
    assert not series.exceptions.exists()


def test_a_count_is_shared_by_what_was_and_what_follows(db, run):
    series = SeriesFactory(rule="FREQ=DAILY;COUNT=5\nEXDATE:20260105")
    run("recurring-generate")

    Edit(series, {"name": "Rest"}, following=on(7)).apply(now=NOW)

    rest = SessionSeries.objects.get(name="Rest")
    assert walls(series) == ["04 09:00", "06 09:00"]
    assert walls(rest) == ["07 09:00", "08 09:00"]
    assert rest.rule.startswith("RRULE:FREQ=DAILY;COUNT=2")


def test_a_second_change_from_a_session_on_sees_what_the_first_has_done(series):
    """Both were thought of before either was done."""
    later, split, again = (Edit(series, {"name": "B"}, following=on(8)) for _ in range(3))
    Edit(series, {"start_time": time(15)}).apply(now=NOW)

    later.apply(now=NOW)
    with pytest.raises(ConfigurationError, match="is no session of Yoga any more"):
        split.apply(now=NOW)
    SessionSeries.objects.filter(name="B").delete()
    on(8).delete()
    with pytest.raises(ConfigurationError, match="is no session of Yoga any more"):
        again.preview(now=NOW)

    assert walls(series)[-1] == "07 15:00"
    assert SessionSeries.objects.count() == 1
    assert {f"{wall:%H:%M}" for wall in Session.objects.values_list("occurrence", flat=True)} == {"15:00"}


def test_a_preview_is_of_the_series_as_it_is_now(series):
    stale = SessionSeries(pk=series.pk, uid=series.uid, rule="FREQ=SECONDLY")

    assert Edit(stale, {"name": "x"}).preview(now=NOW).counts()["changed"] == 8


def test_from_the_first_session_on_it_is_the_series_itself_that_changes(series):
    """Else a series without sessions would be left, with a rule that never comes true."""
    done = Edit(series, {"start_time": time(15)}, following=on(4)).apply(now=NOW)

    assert done.counts()["moved"] == 8
    assert SessionSeries.objects.get().rule == "FREQ=DAILY"


def test_from_a_session_on_that_was_changed_by_itself_the_others_keep_their_time(series):
    """It has the original start that the series had then."""
    single.change(on(7), title="Special", now=NOW)
    Edit(series, {"rule": "FREQ=DAILY;INTERVAL=2", "start_time": time(15)}).apply(now=NOW)

    Edit(series, {"name": "Rest"}, following=on(7)).apply(now=NOW)

    rest = SessionSeries.objects.get(name="Rest")
    assert (rest.first_date, rest.start_time) == (date(2026, 1, 8), time(15))
    assert walls(series) == ["04 15:00", "06 15:00"]
    assert walls(rest) == ["07 09:00", "08 15:00", "10 15:00"]


def test_a_series_that_is_gone_is_refused(series):
    SessionSeries.objects.all().delete()

    for do in (Edit(series, {}).preview, Edit(series, {}).apply):
        with pytest.raises(ConfigurationError, match="is there no more"):
            do(now=NOW)


def test_a_session_that_is_gone_is_refused(series):
    session = on(6)
    on(6).delete()

    with pytest.raises(ConfigurationError, match="is there no more"):
        single.cancel(session, now=NOW)


def test_sessions_of_a_day_change_places(db, run):
    """The new time of one is the old time of another."""
    series = SeriesFactory(rule="FREQ=DAILY;BYHOUR=9,10;COUNT=4", horizon_days=2)
    run("recurring-generate")

    Edit(series, {"rule": "FREQ=DAILY;BYHOUR=10,11;COUNT=4"}).apply(now=NOW)

    assert walls(series) == ["04 10:00", "04 11:00", "05 10:00", "05 11:00"]
    assert series.sessions.count() == 4


def test_members_stay_with_a_session_that_stays(series):
    member = MemberFactory(session=on(6))

    Edit(series, {"start_time": time(15)}).apply(now=NOW)

    assert on(6).members.get() == member


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": "FREQ=SECONDLY"},
        {"time_zone": "Mars"},
        {"duration": timedelta(0)},
        {"title_pattern": "{name.__class__}"},
        {"visible_before": timedelta(days=-1)},
    ],
)
def test_bad_values_are_refused_by_preview_and_change(series, changes):
    for do in (Edit(series, changes).preview, Edit(series, changes).apply):
        with pytest.raises(ValidationError):
            do(now=NOW)
    assert walls(series)[0] == "04 09:00"


def test_a_bad_series_is_mended_by_a_change(db, run):
    series = SeriesFactory(time_zone="Mars/Olympus_Mons", rule="FREQ=FORTNIGHTLY", horizon_days=1)
    run("recurring-generate")

    Edit(series, {"time_zone": "UTC", "rule": "FREQ=DAILY"}).apply(now=NOW)

    assert run("recurring-generate").jobs[0].changed == 2


def test_what_cannot_be_changed_or_has_begun_is_refused(series):
    with pytest.raises(ConfigurationError, match="'uid' of a series cannot be changed"):
        Edit(series, {"uid": 1})
    with pytest.raises(ConfigurationError, match="no session of"):
        Edit(SeriesFactory(), {}, following=on(8))
    with pytest.raises(ConfigurationError, match="has begun already"):
        Edit(series, {}, following=on(4)).apply(now=NOW + 2 * HOUR)


def test_one_session_at_another_time(series):
    moved = single.change(on(6), begins=datetime(2026, 1, 6, 18), duration=3 * HOUR, now=NOW)

    assert (moved.starts_at, moved.expires_at) == (
        datetime(2026, 1, 6, 17, tzinfo=UTC),
        datetime(2026, 1, 6, 20, tzinfo=UTC),
    )
    assert (moved.occurrence, moved.is_detached) == (datetime(2026, 1, 6, 9), True)
    exception = series.exceptions.get()
    assert (exception.kind, exception.date, exception.moved_to) == (
        "moved",
        date(2026, 1, 6),
        datetime(2026, 1, 6, 18),
    )
    assert log("moved") == 1


def test_one_session_is_called_off(series):
    cancelled = single.cancel(on(6), now=NOW)

    assert (cancelled.state, cancelled.ended_at) == ("cancelled", NOW)
    assert series.exceptions.get().kind == "cancelled"
    assert log("cancelled") == 1
    with pytest.raises(ConfigurationError, match="has begun or has ended"):
        single.cancel(cancelled, now=NOW)


def test_one_session_of_no_series_is_refused(series):
    session = on(6)
    series.delete()

    with pytest.raises(ConfigurationError, match="belongs to no series"):
        single.cancel(session, now=NOW)
