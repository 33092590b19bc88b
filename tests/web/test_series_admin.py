"""Series in the admin."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from session_cleanup.models import CleanupRun, OccurrenceLog, Session, SessionSeries
from tests.factories import SeriesFactory

pytestmark = pytest.mark.django_db
LIST = reverse("admin:session_cleanup_sessionseries_changelist")
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
