"""The service API: thin names over the runner."""

import pytest

from session_cleanup import service
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import CleanupRun, Session, SessionReport
from session_cleanup.policies import registry
from tests.factories import DAY, HOUR, NOW
from tests.reports import browser


@pytest.fixture
def _jobs(declare, settings, db):
    """The preset browser, with something to do for each group."""
    declare()
    settings.SESSION_CLEANUP_PRESETS = ["browser"]
    browser(2, created_at=NOW - 31 * DAY)
    for number in range(3):
        browser(created_at=NOW - 8 * DAY, payload={"cookies": [{"name": str(number), "value": "a" * 500}]})


@pytest.mark.usefixtures("_jobs")
def test_each_runs_its_group_and_gives_the_report_of_the_run():
    daily = service.perform_daily_cleanup(now=NOW)
    assert (daily.jobs[0].name, daily.jobs[0].changed, daily.status) == ("browser-expired", 2, "ok")

    weekly = service.perform_weekly_compression(now=NOW)
    assert [(job.name, job.changed) for job in weekly.jobs] == [
        ("browser-compress", 3),
        ("browser-duplicates", 0),
    ]

    monthly = service.generate_monthly_report(now=NOW)
    assert [(job.name, job.changed) for job in monthly.jobs] == [("browser-report", 1)]
    assert monthly.jobs[0].product["month"] == "2025-12"
    assert set(CleanupRun.objects.values_list("trigger", flat=True)) == {"service"}


@pytest.mark.usefixtures("_jobs")
@pytest.mark.parametrize(
    "call",
    [
        service.perform_daily_cleanup,
        service.perform_weekly_compression,
        service.generate_monthly_report,
    ],
)
def test_a_preview_writes_nothing(call):
    report = call(dry_run=True, now=NOW)

    assert report.dry_run
    assert report.jobs[0].due
    assert Session.objects.count() == 5
    assert not any(model.objects.exists() for model in (CleanupRun, SessionReport))


def test_without_its_preset_there_is_no_report(declare, db):
    declare()
    with pytest.raises(ConfigurationError, match="browser-report"):
        service.generate_monthly_report()


@pytest.mark.usefixtures("_jobs")
def test_the_status_is_configuration_schedules_and_last_runs(settings, ran):
    settings.SESSION_CLEANUP_SCHEDULES = {"daily": "0 5 * * *"}
    settings.SESSION_CLEANUP_EXPIRY_DAYS = 20
    ran(NOW - HOUR, job="browser-excess", changed=1)
    ran(NOW, job="browser-excess", changed=7, end_state="failed", error="no")
    ran(NOW, job="browser-duplicates", changed=2)

    status = service.service_status()
    assert status.configuration["SESSION_CLEANUP_EXPIRY_DAYS"] == 20
    assert status.schedules["browser-excess"] == "0 5 * * *"
    assert list(status.schedules) == list(status.last_runs) == [job.name for job in registry.jobs()]
    last = status.last_runs["browser-excess"]
    assert (last.changed, last.state, last.error, last.started_at) == (7, "failed", "no", NOW)
    assert status.last_runs["browser-duplicates"].changed == 2
    assert status.last_runs["browser-report"] is None


def test_no_secret_setting_is_in_the_status(monkeypatch, db):
    """As those of the endpoint and of undo are called."""
    from session_cleanup.conf import SETTINGS, Conf, Setting

    for name in ("CRON_SECRETS", "UNDO_KEYS"):
        if name not in SETTINGS:
            setting = Setting([], lambda value: None)
            setting.__set_name__(Conf, name)
            monkeypatch.setattr(Conf, name, setting, raising=False)
            monkeypatch.setitem(SETTINGS, name, setting)

    shown = service.service_status().configuration
    assert not {"SESSION_CLEANUP_CRON_SECRETS", "SESSION_CLEANUP_UNDO_KEYS"} & set(shown)


def test_the_status_says_who_died(declare, ran):
    declare()
    ran(NOW, job="housekeeping-history", end_state="", heartbeat_at=NOW - DAY)

    assert service.service_status().last_runs["housekeeping-history"].state == "died"
