"""The endpoint that runs jobs: who is let in, what it runs, and what it says."""

import json
import re
import socket
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connections
from django.test import Client
from django.utils import timezone

from session_cleanup.engine import runner
from session_cleanup.engine.leases import Lease
from session_cleanup.engine.report import JobReport, RunReport
from session_cleanup.exceptions import DatabaseUnavailable
from session_cleanup.models import CleanupRun, JobRun, Session
from session_cleanup.web import replies
from session_cleanup.web.bearers import failures
from tests.factories import NOW, OccurrenceFactory, SeriesFactory, SessionFactory

SECRET = "correct-horse-battery"
OLD = "the-one-before-that-ä"
URL = "/cleanup/cron/collaborative-expired/"


@pytest.fixture(autouse=True)
def _endpoint(settings):
    settings.SESSION_CLEANUP_CRON_SECRETS = [SECRET, OLD]
    failures.forget()
    yield
    failures.forget()


def bearing(secret=SECRET, scheme="Bearer"):
    # As a server hands it on: bytes, read as Latin-1.
    return {"HTTP_AUTHORIZATION": f"{scheme} {secret.encode().decode('latin-1')}"}


def post(url=URL, secret=SECRET, **more):
    return Client().post(url, **bearing(secret), **more)


def due(count=2):
    week = timezone.now() - timedelta(days=7)
    return SessionFactory.create_batch(count, kind="collaborative", expires_at=week)


# Who is let in.


def test_a_bearer_of_a_secret_runs_the_job(db):
    due(2)

    response = post()

    said = response.json()
    assert (response.status_code, said["success"], said["status"]) == (200, True, "ok")
    assert [(job["name"], job["changed"]) for job in said["jobs"]] == [("collaborative-expired", 2)]
    assert CleanupRun.objects.get(pk=said["run"]).trigger == "http"
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("secret", [SECRET, OLD])
def test_while_secrets_rotate_each_of_them_is_right(db, secret):
    assert post(secret=secret).status_code == 200


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_scheme_is_written_in_any_way(db, scheme):
    assert Client().post(URL, **bearing(scheme=scheme)).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer undefined",
        "Bearer null",
        f"Basic {SECRET}",
        SECRET,
        f"Bearer {SECRET}x",
        f"Bearer {SECRET[:-1]}",
        f"Bearer {SECRET.upper()}",
        f"Bearer {SECRET}, Bearer {SECRET}",
        f"Bearer {SECRET} {OLD}",
        "Bearer \u2603",
        "Bearer " + "x" * 100_000,
    ],
)
def test_nobody_else_is_let_in(db, header):
    due(1)

    response = Client().post(URL, **({} if header is None else {"HTTP_AUTHORIZATION": header}))

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer ")
    assert response.json() == {"success": False, "error": "Unauthorized"}
    assert not CleanupRun.objects.exists()
    assert Session.objects.filter(is_active=True).count() == 1


@pytest.mark.parametrize("secrets", [[], ()])
def test_unset_secret_lets_nobody_in(db, settings, secrets):
    """With the secret unset, `Bearer undefined` was let in."""
    settings.SESSION_CLEANUP_CRON_SECRETS = secrets
    for secret in ("undefined", "None", "", "null", SECRET):
        assert post(secret=secret).status_code == 503
    assert not CleanupRun.objects.exists()


@pytest.mark.parametrize(
    "secrets", [["short"], [""], [None], "a" * 40, [SECRET, "x y" * 9], None, {SECRET: 1}]
)
def test_secrets_that_are_none_open_nothing_and_are_not_shown(db, settings, secrets):
    settings.SESSION_CLEANUP_CRON_SECRETS = secrets

    response = post(secret=str(secrets))

    assert response.status_code == 500
    assert response.json() == {"success": False, "error": "ConfigurationError"}
    assert not CleanupRun.objects.exists()


def test_secrets_are_compared_whole_whichever_is_right(monkeypatch):
    from session_cleanup.web import bearers

    compared = []
    real = bearers.hmac.compare_digest
    both = lambda *digests: compared.append(digests) or real(*digests)  # noqa: E731
    monkeypatch.setattr(bearers, "hmac", SimpleNamespace(compare_digest=both))

    for secret in (SECRET, OLD, "wrong"):
        bearers._is_known(f"Bearer {secret}")

    assert len(compared) == 6
    assert {(type(digest), len(digest)) for pair in compared for digest in pair} == {(bytes, 32)}


def test_a_wrong_secret_appears_in_no_log(db, caplog, settings):
    settings.SESSION_CLEANUP_CRON_FAILURES_PER_MINUTE = 1
    for _ in range(3):
        post(secret="MARKER-of-a-typo-in-the-secret")

    assert "MARKER" not in caplog.text


def test_many_wrong_secrets_are_slowed_down_but_a_right_one_is_never_shut_out(db, settings, caplog):
    settings.SESSION_CLEANUP_CRON_FAILURES_PER_MINUTE = 3

    codes = [post(secret="wrong").status_code for _ in range(6)]
    late = post(secret="wrong")

    assert codes == [401, 401, 401, 429, 429, 429]
    assert 1 <= int(late["Retry-After"]) <= 60
    assert post().status_code == 200
    assert caplog.text.count("too many wrong secrets") == 1


def test_after_a_minute_failures_are_forgotten(db, settings, monkeypatch):
    settings.SESSION_CLEANUP_CRON_FAILURES_PER_MINUTE = 1
    assert [post(secret="wrong").status_code for _ in range(2)] == [401, 429]

    from session_cleanup.web import bearers

    later = bearers.time.monotonic() + 60
    monkeypatch.setattr(bearers, "time", SimpleNamespace(monotonic=lambda: later))

    assert post(secret="wrong").status_code == 401


# Methods.


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options", "trace"])
@pytest.mark.parametrize("secret", [SECRET, "wrong"])
def test_other_methods_are_refused_with_what_is_allowed(db, method, secret):
    response = getattr(Client(), method)(URL, **bearing(secret))

    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert not CleanupRun.objects.exists()


def test_a_get_runs_where_it_is_allowed_with_the_same_secret(db, settings):
    settings.SESSION_CLEANUP_CRON_ALLOW_GET = True

    response = Client().get(URL, **bearing())

    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert Client().get(URL).status_code == 401
    assert Client().get(URL, **bearing("wrong")).status_code == 401
    assert Client().head(URL, **bearing()).status_code == 405
    assert Client().put(URL)["Allow"] == "GET, POST"
    assert CleanupRun.objects.count() == 1


def test_neither_a_form_token_nor_the_last_slash_is_asked_for(db):
    client = Client(enforce_csrf_checks=True)

    assert client.post(URL, **bearing()).status_code == 200
    assert client.post(URL.rstrip("/"), **bearing()).status_code == 200


# Names.


@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("collaborative", ["collaborative-expired"]),
        ("weekly", ["browser-compress", "browser-duplicates"]),
        ("browser-compress", ["browser-compress"]),
    ],
)
def test_jobs_presets_and_groups_have_an_address(db, name, jobs):
    assert [job["name"] for job in post(f"/cleanup/cron/{name}/").json()["jobs"]] == jobs


@pytest.mark.parametrize(
    "name", ["nothing", "axes", "yearly", "../x", "Daily", "a/b", "%00", "é", "x" * 5000]
)
def test_unknown_names_are_told_only_to_those_who_may_ask(db, name):
    assert post(f"/cleanup/cron/{name}/").status_code == 404
    assert post(f"/cleanup/cron/{name}/", secret="wrong").status_code == 401
    assert Client().post(f"/cleanup/cron/{name}/").status_code == 401
    assert not CleanupRun.objects.exists()


@pytest.mark.parametrize("query", ["dry_run=1", "max_age=1", "days=1", "x"])
def test_nothing_is_taken_from_the_url(db, query):
    due(1)

    response = post(f"{URL}?{query}")

    assert (response.status_code, response.json()["error"]) == (400, "ParametersNotAllowed")
    assert Session.objects.filter(is_active=True).count() == 1


def test_nothing_is_taken_from_the_body(db):
    due(1)

    said = post(data='{"dry_run": true, "max_age": 1}', content_type="application/json").json()

    assert (said["dry_run"], said["jobs"][0]["changed"]) == (False, 1)


# What it says.


def test_a_job_that_is_running_is_409_and_names_nobody(db):
    Lease.take("collaborative-expired", "default", 1)

    response = post()

    assert response.status_code == 409
    assert int(response["Retry-After"]) > 0
    said = response.json()
    assert (said["success"], said["status"], said["jobs"][0]["error"]) == (False, "busy", "LeaseBusy")
    assert socket.gethostname() not in response.content.decode()
    assert "pid" not in response.content.decode()


def test_a_failed_job_is_500_with_the_class_of_its_error_alone(db, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("MARKER of a host: and a row")

    monkeypatch.setattr("session_cleanup.engine.execution.Lease.take", fail)
    response = post()

    said = response.json()
    assert (response.status_code, said["success"], said["status"]) == (500, False, "failed")
    assert said["jobs"][0]["error"] == "ZeroDivisionError"
    assert "MARKER" not in response.content.decode()
    assert "MARKER" in JobRun.objects.get().error


def test_out_of_time_is_200_and_the_next_call_goes_on(transactional_db, settings, monkeypatch):
    settings.SESSION_CLEANUP_BATCH_SIZE = 5
    settings.SESSION_CLEANUP_PAUSE_MS = 300
    settings.SESSION_CLEANUP_CRON_SECONDS = 1
    due(40)

    said = post().json()
    record = JobRun.objects.get()
    assert (said["success"], said["status"], said["jobs"][0]["end_state"]) == (
        True,
        "incomplete",
        "timed_out",
    )
    assert 0 < said["jobs"][0]["changed"] == record.changed < 40
    assert record.cursor is not None

    settings.SESSION_CLEANUP_PAUSE_MS = 0
    again = post().json()
    assert again["status"] == "ok"
    assert said["jobs"][0]["changed"] + again["jobs"][0]["changed"] == 40


def test_disabled_is_200_and_changes_nothing(db, settings):
    settings.SESSION_CLEANUP_ENABLED = False
    due(1)

    response = post()

    assert (response.status_code, response.json()["status"]) == (200, "disabled")
    assert Session.objects.filter(is_active=True).count() == 1


@pytest.mark.parametrize(
    "error", [DatabaseUnavailable("MARKER"), OperationalError("MARKER at db-1.internal")]
)
def test_a_database_that_is_down_is_503(db, monkeypatch, error):
    def run(*_, **__):
        raise error

    monkeypatch.setattr(runner, "run", run)
    response = post()

    assert (response.status_code, response.json()["error"]) == (503, "DatabaseUnavailable")
    assert int(response["Retry-After"]) > 0
    assert "MARKER" not in response.content.decode()


@pytest.mark.parametrize("debug", [True, False])
def test_an_error_nobody_thought_of_is_a_class_and_no_trace(db, settings, monkeypatch, caplog, debug):
    def run(*_, **__):
        raise KeyError("MARKER")

    settings.DEBUG = debug
    monkeypatch.setattr(runner, "run", run)
    response = post()

    assert (response.status_code, response.json()) == (500, {"success": False, "error": "KeyError"})
    assert "MARKER" in caplog.text


def test_a_configuration_that_is_refused_is_500(db, settings):
    settings.SESSION_CLEANUP_HOURS = 0

    response = post()

    assert (response.status_code, response.json()["error"]) == (500, "ConfigurationError")


def test_it_works_under_atomic_requests(transactional_db, monkeypatch):
    due(2)
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)

    assert post().json()["jobs"][0]["changed"] == 2
    assert Client().get("/cleanup/health/", **bearing()).status_code in (200, 503)


def report_of(**jobs):
    return RunReport(
        run=1,
        dry_run=False,
        started_at=NOW,
        finished_at=NOW,
        jobs=[
            JobReport(
                name=name,
                model="session_cleanup.Session",
                database="default",
                group="daily",
                action=None,
                end_state="drained",
                **values,
            )
            for name, values in jobs.items()
        ],
    )


def test_recurring_says_what_it_did_in_its_callers_own_words():
    made = [{"series": "Yoga", "uid": "5f1c", "created": 3}]
    report = report_of(
        **{
            "recurring-activate": {"changed": 5, "figures": {"activated": 4, "missed": 1}},
            "recurring-close": {"changed": 2, "figures": {"closed": 2}},
            "recurring-generate": {"changed": 3, "product": {"series": made, "more": 0}},
        }
    )

    said = json.loads(replies.of_run(report).content)
    assert (said["success"], said["activated"], said["closed"], said["generated"]) == (True, 4, 2, made)


def test_one_call_activates_closes_and_generates(db):
    now = timezone.now()
    resting = SeriesFactory(is_active=False)
    OccurrenceFactory(series=resting, starts_at=now - timedelta(minutes=1))
    OccurrenceFactory(series=resting, starts_at=now - timedelta(hours=3))  # missed
    OccurrenceFactory(series=resting, is_active=True, starts_at=now - timedelta(hours=5))
    series = SeriesFactory(first_date=now.date() + timedelta(days=1), rule="FREQ=DAILY;COUNT=2")

    said = words(post("/cleanup/cron/recurring/"))

    made = {"series": series.name, "uid": str(series.uid), "created": 2}
    assert said == {"success": True, "activated": 1, "closed": 1, "generated": [made]}
    assert Session.objects.filter(series=series).count() == 2
    nothing = {"success": True, "activated": 0, "closed": 0, "generated": []}
    assert words(post("/cleanup/cron/recurring/")) == nothing


def test_what_was_only_missed_was_not_activated(db):
    OccurrenceFactory(starts_at=timezone.now() - timedelta(days=2), series__is_active=False)

    response = post("/cleanup/cron/recurring-activate/")

    assert [job["changed"] for job in response.json()["jobs"]] == [1]
    assert words(response) == {"success": True, "activated": 0}


def words(response):
    return {
        word: said
        for word, said in response.json().items()
        if word in ("success", "activated", "closed", "generated")
    }


def test_a_failed_generation_has_generated_nothing():
    report = report_of(**{"recurring-generate": {"error": "SeriesError: a name"}})

    said = json.loads(replies.of_run(report).content)
    assert said["generated"] == []
    assert "activated" not in said


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("OperationalError: server db-1 is gone.", "OperationalError"),
        ("KeyError: .", "KeyError"),
        ("something else of web-2", "Error"),
        ("", "Error"),
    ],
)
def test_of_any_error_only_the_class_is_shown(error, shown):
    report = report_of(job={"error": error})

    assert json.loads(replies.of_run(report).content)["jobs"][0]["error"] == shown


def test_a_reply_is_the_runs_own_json_and_success(db):
    said = post().json()

    from session_cleanup.reporting import json as as_json

    expected = as_json.as_dict(report_of(job={}))
    assert said.keys() == expected.keys() | {"success"}
    assert said["jobs"][0].keys() == expected["jobs"][0].keys()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", said["started_at"])
