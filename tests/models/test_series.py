"""SessionSeries, and the column of wall times."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.core.exceptions import ValidationError

from session_cleanup.models import SeriesException, Session
from session_cleanup.models.wall import WallTimeField
from tests.factories import NOW, OccurrenceFactory, SeriesFactory


def test_a_series_that_is_good(db):
    SeriesFactory.build().full_clean()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rule", "FREQ=SECONDLY"),
        ("rule", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"),
        ("time_zone", "Europe/Atlantis"),
        ("title_pattern", "{name.__class__}"),
        ("title_pattern", "{0}"),
        ("horizon_days", 0),
        ("horizon_days", 367),
        ("visible_before", timedelta(seconds=-1)),
        ("__all__", None),
    ],
)
def test_a_bad_value_is_named(db, field, value):
    values = {"duration": timedelta(0)} if field == "__all__" else {field: value}

    with pytest.raises(ValidationError) as refused:
        SeriesFactory.build(**values).full_clean()

    assert list(refused.value.message_dict) == [field]


def test_a_title_is_text_and_no_program(db):
    series = SeriesFactory.build(name="{date} {x} %s", title_pattern="{name}, {date} {time}")

    assert series.title(datetime(2026, 1, 5, 9)) == "{date} {x} %s, 05/01/2026 09:00"
    assert len(SeriesFactory.build(name="n" * 150, title_pattern="{name}{name}").title(NOW)) == 200


def test_wall_times_come_back_as_they_went(db):
    wall = datetime(2026, 3, 29, 2, 30, 0, 123456)
    OccurrenceFactory(occurrence=wall)

    assert Session.objects.get(occurrence=wall).occurrence == wall
    assert Session.objects.filter(occurrence__lt=wall).count() == 0
    assert Session.objects.values_list("occurrence", flat=True).get() == wall


@pytest.mark.parametrize("value", ["tomorrow", "2026-01-01 09:00+01:00", 7])
def test_what_is_no_wall_time_is_refused(value):
    with pytest.raises(ValidationError):
        WallTimeField().to_python(value)


def test_a_moment_is_no_wall_time(db):
    with pytest.raises(ValidationError):
        SeriesException(series=SeriesFactory(), date=NOW.date(), kind="moved", moved_to=NOW).full_clean()
    with pytest.raises(ValidationError):
        OccurrenceFactory(occurrence=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_wall_time_in_a_form(db):
    field = WallTimeField(blank=True, null=True).formfield()

    assert field.clean("2026-01-05 09:30") == datetime.combine(datetime(2026, 1, 5), time(9, 30))
    assert field.clean("") is None


def test_the_states_of_a_session():
    assert Session(is_active=False).state == "scheduled"
    assert Session(is_active=True).state == "active"
    for reason, state in {"expired": "closed", "ended": "closed", "missed": "missed"}.items():
        assert Session(is_active=False, ended_at=NOW, end_reason=reason).state == state
