"""The job browser-report: of the month that ended, once, and pruned after its time."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from session_cleanup.analytics.metrics import measure
from session_cleanup.analytics.report import document_of
from session_cleanup.models import CleanupRun, JobRun, SessionReport
from session_cleanup.policies import registry
from tests.factories import DAY, NOW, SECOND
from tests.reports import DECEMBER, at, browser

JOB = "browser-report"


@pytest.fixture(autouse=True)
def _preset(settings):
    settings.SESSION_CLEANUP_PRESETS = ["browser"]


@pytest.mark.parametrize(
    ("now", "month"),
    [
        (datetime(2026, 1, 1, 4, 0, tzinfo=UTC), "2025-12"),
        (datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), "2025-12"),
        (datetime(2026, 2, 1, tzinfo=UTC), "2026-01"),
    ],
)
def test_the_monthly_report_is_of_the_month_that_ended(run, now, month):
    """Not of the one that has just begun."""
    browser()
    report = run(JOB, now=now)

    assert (report.status, report.jobs[0].changed) == ("ok", 1)
    stored = SessionReport.objects.get()
    assert (str(stored), stored.created_at) == (month, now)
    assert stored.metrics["usage"]["days"][0]["day"] == f"{month}-01"


def test_a_second_run_keeps_the_first_report(run):
    browser(3)
    first = run(JOB).jobs[0].product
    browser(2)
    again = run(JOB, now=NOW + DAY)

    assert (again.jobs[0].changed, again.jobs[0].end_state, again.jobs[0].product) == (0, "drained", first)
    assert SessionReport.objects.get().metrics["sessions"]["total"] == 3


def test_a_dry_run_makes_the_same_report_and_stores_nothing(run, preview):
    browser(3)
    would_be = preview(JOB).jobs[0]

    assert not any(model.objects.exists() for model in (SessionReport, CleanupRun, JobRun))
    done = run(JOB).jobs[0]
    assert (would_be.due, would_be.changed, done.changed) == (1, 0, 1)
    for product in (would_be.product, done.product):
        for query in product["metrics"]["performance"]["queries"]:
            assert query.pop("seconds") > 0  # each took its own time
    assert would_be.product == done.product
    assert preview(JOB).jobs[0].due == 0


def test_what_is_stored_is_what_was_measured(figures, run):
    """Through JSON and the database, and back."""
    browser(3, payload={"a": 1}, payload_size=7, holder="ä\u2028\"'", last_activity_at=NOW - 9 * DAY)
    made = run(JOB).jobs[0].product

    assert document_of(SessionReport.objects.get()) == made
    assert json.loads(json.dumps(made)) == made
    assert made["metrics"]["usage"]["unused"][0]["holder"] == "ä\u2028\"'"


def test_the_trend_is_beside_the_stored_month_before(run):
    browser(2)
    run(JOB, now=NOW)
    browser(2)
    run(JOB, now=NOW + 31 * DAY)

    trend = {each["figure"]: each for each in SessionReport.objects.latest("month").metrics["trend"]}
    assert (trend["sessions"]["before"], trend["sessions"]["now"]) == (2, 4)


def test_reports_are_pruned_after_their_days(run, stored, settings):
    settings.SESSION_CLEANUP_REPORT_DAYS = 30
    stored("2025-10", {})
    SessionReport.objects.update(created_at=NOW - timedelta(days=30))
    assert run("housekeeping-reports").jobs[0].changed == 0

    SessionReport.objects.update(created_at=NOW - timedelta(days=30) - SECOND)
    assert run("housekeeping-reports").jobs[0].changed == 1
    assert not SessionReport.objects.exists()


def test_it_is_in_the_monthly_group_and_its_preset(run):
    [job] = registry.select(group="monthly")
    assert (job.name, job.preset, job.cron) == (JOB, "browser", "0 4 1 * *")
    assert JOB not in [each.name for each in registry.select()]


def test_a_query_that_takes_too_long_costs_only_its_figures(figures, monkeypatch):
    browser()
    monkeypatch.setattr("session_cleanup.analytics.metrics.holders", lambda *_: None)

    found = measure("default", DECEMBER, NOW)
    assert (found["usage"], found["scores"]["utilisation"]) == (None, None)
    assert found["sessions"]["total"] == 1


@pytest.mark.postgres
def test_a_query_that_takes_too_long_is_given_up(db, settings):
    from session_cleanup.analytics.asking import asked

    def sleep():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    settings.SESSION_CLEANUP_STATEMENT_TIMEOUT_MS = 100
    assert asked("default", sleep) is None


def test_no_figure_reads_a_row_by_itself(figures, django_assert_max_num_queries):
    """As many statements for many sessions as for few."""
    policies = len(registry.policies_among(registry.preset("browser")))
    browser(40)
    with django_assert_max_num_queries(20 + 60 * policies) as few:  # the plan of each policy takes most
        figures("scores")
    browser(200, holder="b", created_at=at("12-20"))
    with django_assert_max_num_queries(len(few)):
        figures("scores")
    read = [query["sql"] for query in few if 'FROM "session_cleanup_session"' in query["sql"]]
    assert len([sql for sql in read if "GROUP BY" in sql]) == 2


@pytest.mark.postgres
def test_the_indexes_of_the_sessions_with_their_use(figures):
    found = {each["name"]: each for each in figures("performance")["indexes"]}

    assert "idx_sessions_expired" in found
    assert all(each["scans"] >= 0 and each["size"] > 0 for each in found.values())


def test_the_time_and_index_of_each_policys_query(figures, monkeypatch):
    from session_cleanup.analytics.performance import queries
    from session_cleanup.policies import Aged, Deactivate, Policy

    policy = Policy(name="x", model="session_cleanup.Session", select=Aged("expires_at"), action=Deactivate())
    [found] = queries([policy], "default", NOW)
    assert found["job"] == "x"
    assert found["seconds"] > 0

    monkeypatch.setattr("session_cleanup.analytics.performance.walking", lambda case: 1 / 0)
    assert queries([policy], "default", NOW) == [{"job": "x", "seconds": None, "index": None}]


def test_storage_by_state(figures):
    browser(2, payload={"a": "x" * 100}, payload_size=108)
    browser(payload={}, payload_size=2, is_active=False)

    found = {each["state"]: each for each in figures("performance")["storage"]}
    assert (found["active"]["sessions"], found["active"]["decoded"]) == (2, 216)
    assert found["active"]["stored"] >= 200
    assert (found["inactive"]["decoded"], found["expired"]["decoded"]) == (2, 0)
    assert figures("performance")["average_payload"] == 218 / 3
