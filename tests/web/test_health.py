"""The endpoint that says whether every job succeeds as often as it should."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from session_cleanup.scheduling import health
from session_cleanup.scheduling.health import health_of_jobs
from session_cleanup.web.bearers import failures
from tests.factories import DAY, NOW
from tests.web.test_cron import SECRET, bearing

URL = "/cleanup/health/"


@pytest.fixture(autouse=True)
def _endpoint(settings):
    settings.SESSION_CLEANUP_CRON_SECRETS = [SECRET]
    failures.forget()
    yield
    failures.forget()


@pytest.fixture
def all_ran(declare, settings, ran):
    """all_ran(NOW, "browser-excess"): every job succeeded then but for those named."""
    declare()
    settings.SESSION_CLEANUP_PRESETS = ["browser"]

    def all_ran(at, *but):
        for job in health_of_jobs(at)[1]:
            if job.name not in but:
                ran(at, job=job.name, heartbeat_at=at)

    return all_ran


def stale(now=NOW):
    return [job.name for job in health_of_jobs(now)[1] if job.stale]


def test_all_succeeded_lately(all_ran):
    all_ran(timezone.now())

    response = Client().get(URL)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response["Cache-Control"] == "no-store"


def test_names_and_ages_only_to_bearers(all_ran):
    all_ran(timezone.now())

    said = Client().get(URL, **bearing()).json()
    excess = next(job for job in said["jobs"] if job["name"] == "browser-excess")
    assert excess["schedule"] == "0 2 * * *"
    assert 0 <= excess["age_seconds"] < 60
    assert (excess["stale"], excess["stale_after_seconds"]) == (False, 2 * 86_400)

    assert Client().get(URL, **bearing("wrong")).status_code == 401
    assert "browser" not in Client().get(URL).content.decode()


def test_a_job_is_stale_after_so_many_of_its_own_intervals(all_ran, settings):
    all_ran(NOW)

    assert stale(NOW + 2 * DAY) == []
    daily = stale(NOW + 2 * DAY + timedelta(seconds=1))
    assert "browser-excess" in daily
    assert "browser-compress" not in daily
    assert "browser-compress" in stale(NOW + 14 * DAY + timedelta(seconds=1))

    settings.SESSION_CLEANUP_STALE_FACTOR = 3
    assert stale(NOW + 3 * DAY) == []


def test_one_stale_job_is_503(all_ran, ran):
    now = timezone.now()
    all_ran(now, "browser-excess")
    ran(now - 3 * DAY, job="browser-excess", heartbeat_at=now - 3 * DAY)

    response = Client().get(URL)
    assert (response.status_code, response.json()) == (503, {"status": "stale"})


@pytest.mark.parametrize("end_state", ["failed", "busy", "timed_out", "capped", "stopped", "lease_lost", ""])
def test_only_a_run_that_drained_is_a_success(all_ran, ran, end_state):
    all_ran(NOW - 3 * DAY)
    for job in health_of_jobs(NOW)[1]:
        ran(NOW, job=job.name, end_state=end_state, heartbeat_at=NOW)

    assert "browser-excess" in stale()


def test_without_any_run_nothing_is_healthy(declare, db):
    declare()

    assert Client().get(URL).status_code == 503


def test_a_job_that_is_tried_and_never_succeeds_is_given_its_time_from_the_first_run_on(all_ran, ran):
    all_ran(NOW - 3 * DAY, "browser-excess", "browser-report")
    for job in ("browser-excess", "browser-report"):
        ran(NOW, job=job, end_state="failed", heartbeat_at=NOW)

    assert "browser-excess" in stale(NOW)
    assert "browser-report" not in stale(NOW)


def test_a_job_that_may_be_new_is_given_its_time_from_our_start(all_ran, monkeypatch):
    all_ran(NOW - 3 * DAY, "browser-excess")
    monkeypatch.setattr(health, "STARTED", NOW - DAY)
    assert "browser-excess" not in stale(NOW)

    monkeypatch.setattr(health, "STARTED", NOW - 3 * DAY)
    assert "browser-excess" in stale(NOW)


def test_disabled_is_no_fault(declare, settings, db):
    declare()
    settings.SESSION_CLEANUP_ENABLED = False

    response = Client().get(URL)
    assert (response.status_code, response.json()) == (200, {"status": "disabled"})


def test_without_secrets_it_still_says_whether_all_is_well(all_ran, settings):
    settings.SESSION_CLEANUP_CRON_SECRETS = []
    all_ran(timezone.now())

    assert Client().get(URL, **bearing()).json() == {"status": "ok"}


def test_a_database_that_is_down_is_503(db, monkeypatch):
    def down(using):
        raise OperationalError("MARKER")

    monkeypatch.setattr(health, "database_clock", down)
    response = Client().get(URL)

    assert (response.status_code, response.json()["error"]) == (503, "DatabaseUnavailable")
    assert "MARKER" not in response.content.decode()


@pytest.mark.parametrize("method", ["post", "put", "delete", "options"])
def test_other_methods_are_refused(db, method):
    response = getattr(Client(), method)(URL, **bearing())

    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


def test_its_cost_does_not_grow_with_the_history(all_ran, ran, django_assert_num_queries):
    for days in range(5):
        all_ran(NOW - days * DAY)

    with django_assert_num_queries(3):
        health_of_jobs(NOW)
