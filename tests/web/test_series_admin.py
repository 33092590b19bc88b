"""Series in the admin."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from session_cleanup.models import CleanupRun, OccurrenceLog, Session, SessionSeries
from session_cleanup.web.admin import filters
from session_cleanup.web.admin.filters import STATES
from tests.factories import DAY, HOUR, NOW, OccurrenceFactory, SeriesFactory, SessionFactory

pytestmark = pytest.mark.django_db
LIST = reverse("admin:session_cleanup_sessionseries_changelist")
SESSIONS = reverse("admin:session_cleanup_session_changelist")
NOTHING = {"TOTAL_FORMS": "0", "INITIAL_FORMS": "0"}
INLINES = {
    f"{name}-{key}": value for name in ("seriesmember_set", "exceptions") for key, value in NOTHING.items()
}


def form_of(series, **changes):
    values = {
        "name": series.name,
        "rule": series.rule,
        "time_zone": series.time_zone,
        "start_time": "09:00",
        "duration": "1:00:00",
        "visible_before": "0",
        "title_pattern": series.title_pattern,
        "is_active": "on",
        "settings": "{}",
        **INLINES,
    }
    return {**values, **changes}


@pytest.fixture
def series():
    return SeriesFactory(horizon_days=3, first_date=timezone.now().date() + timedelta(days=2))


def generate(client, series):
    return client.post(LIST, {"action": "generate", "_selected_action": [series.pk]}, follow=True)


def test_series_are_generated_by_hand(admin_client, series):
    page = generate(admin_client, series).content.decode()

    assert series.sessions.count() == 2
    assert f"{series.name}: 2" in page
    run = CleanupRun.objects.get()
    assert (run.trigger, run.actor) == ("admin", "admin")
    assert run.options["series"] == str(series.uid)


def test_what_is_wrong_with_a_series_is_shown(admin_client, series):
    SessionSeries.objects.update(rule="FREQ=NEVER")

    assert "FREQ is &#x27;NEVER&#x27;" in generate(admin_client, series).content.decode()


def test_who_may_not_change_series_may_not_generate(staff, series):
    generate(staff("view_sessionseries"), series)

    assert not Session.objects.exists()


def test_a_change_reaches_the_sessions_to_come(admin_client, series):
    generate(admin_client, series)

    url = reverse("admin:session_cleanup_sessionseries_change", args=[series.pk])
    page = admin_client.post(url, form_of(series, start_time="15:00", horizon_days="5"), follow=True)

    assert "changed 2, moved 2" in page.content.decode()
    assert {wall.hour for wall in Session.objects.values_list("occurrence", flat=True)} == {15}
    assert OccurrenceLog.objects.filter(event="moved").count() == 2
    series.refresh_from_db()
    assert (series.start_time.hour, series.horizon_days) == (15, 5)


def test_a_bad_rule_is_refused_and_one_that_skips_months_is_pointed_out(admin_client, series):
    url = reverse("admin:session_cleanup_sessionseries_add")
    new = form_of(series, first_date="2026-01-31", created_at_0="2026-01-01", created_at_1="09:00")

    refused = admin_client.post(url, {**new, "rule": "FREQ=DAILY;INTERVAL=0"})
    saved = admin_client.post(url, {**new, "rule": "FREQ=MONTHLY"}, follow=True)

    assert "Give a whole number from 1 to 1000" in refused.content.decode()
    assert "Months without a day 31 are skipped" in saved.content.decode()
    assert SessionSeries.objects.count() == 2


def listed(client, query, model=Session):
    """The titles of the rows, or the names of series, in their order."""
    url = reverse(f"admin:session_cleanup_{model._meta.model_name}_changelist")
    return [str(row) for row in client.get(url + query).context["cl"].result_list]


def test_what_is_coming_up_is_listed_by_its_start(admin_client):
    now = timezone.now()
    for title, hours in (
        ("late", 7 * 24 + 1),
        ("third", 7 * 24 - 1),
        ("first", 1),
        ("second", 2),
        ("past", -1),
    ):
        OccurrenceFactory(title=title, starts_at=now + hours * HOUR)
    SessionFactory(title="another kind", starts_at=now + HOUR)

    assert listed(admin_client, "?begins=soon") == ["first", "second", "third"]
    assert len(listed(admin_client, "?begins=never")) == 6


def test_sessions_by_state_are_those_that_say_so(admin_client):
    now = timezone.now()
    OccurrenceFactory()
    OccurrenceFactory(is_active=True)
    for reason in ("", "expired", "ended", "cancelled", "missed"):
        OccurrenceFactory(ended_at=now, end_reason=reason)
    titles = {state: set() for state in STATES}
    for session in Session.objects.all():
        titles[session.state].add(session.title)

    for state, expected in titles.items():
        assert expected
        assert set(listed(admin_client, f"?state={state}")) == expected
    assert len(listed(admin_client, "?state=unknown")) == 7


def test_sessions_by_series_also_of_one_that_is_not_offered(admin_client, monkeypatch):
    monkeypatch.setattr(filters, "OFFERED", 2)
    all_of_them = [OccurrenceFactory().series for _ in range(4)]

    for series in all_of_them:
        assert listed(admin_client, f"?series={series.pk}") == [series.sessions.get().title]
    page = admin_client.get(SESSIONS + f"?series={all_of_them[0].pk}").content.decode()
    assert [series.name in page for series in all_of_them] == [True, False, True, True]
    for nonsense in ("x", "-1", "1e3", "9" * 30, "%00", "٣"):
        assert listed(admin_client, f"?series={nonsense}") == []


def test_filters_go_together(admin_client):
    now = timezone.now()
    series = SeriesFactory()
    for hours in (5, 3):
        OccurrenceFactory(title=f"in {hours}", series=series, starts_at=now + hours * HOUR)
    OccurrenceFactory(series=series, starts_at=now + HOUR, ended_at=now, end_reason="cancelled")
    OccurrenceFactory(starts_at=now + HOUR)

    assert listed(admin_client, f"?begins=soon&state=scheduled&series={series.pk}") == ["in 3", "in 5"]


def test_series_by_state_and_what_their_list_says(admin_client):
    SeriesFactory(name="on")
    SeriesFactory(name="over", rule="FREQ=DAILY;UNTIL=20260110")
    SeriesFactory(name="off", is_active=False)
    for state, name in (("active", "on"), ("ended", "over"), ("inactive", "off")):
        assert listed(admin_client, f"?state={state}", SessionSeries) == [name]
    over = SessionSeries.objects.get(name="over")
    for days in (1, 0):
        OccurrenceFactory(series=over, starts_at=NOW + days * DAY)

    page = admin_client.get(LIST + "?state=ended").content.decode()

    for text in (over.rule, "2026-01-04 09:00", "2026-01-10 23:59", "2026-01-04 07:00", "2026-01-05 07:00"):
        assert text in page
    assert f'<a href="{SESSIONS}?series={over.pk}">2</a>' in page


def test_a_list_of_series_costs_no_query_a_row(admin_client):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            admin_client.get(LIST)
        return len(captured)

    OccurrenceFactory()
    few = queries()
    for _number in range(10):
        OccurrenceFactory()
    assert queries() == few


def test_the_log_has_both_names_the_newest_first_and_by_event(admin_client, series):
    session = OccurrenceFactory(series=series, title="One of them")
    for event in ("generated", "activated", "closed"):
        OccurrenceLog.objects.note(event, Session.objects.filter(pk=session.pk), timezone.now())
    series.delete()
    session.delete()

    assert listed(admin_client, "", OccurrenceLog) == [
        f"One of them: {event}" for event in ("closed", "activated", "generated")
    ]
    assert listed(admin_client, "?event__exact=closed", OccurrenceLog) == ["One of them: closed"]
    page = admin_client.get(reverse("admin:session_cleanup_occurrencelog_changelist")).content.decode()
    assert f">{series.name}</td>" in page
    assert ">One of them</td>" in page
