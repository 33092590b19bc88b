import re
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from session_cleanup.models import Hold
from session_cleanup.policies import Aged, Delete, Policy, registry
from session_cleanup.web.admin import reading, stats
from tests.factories import HOUR, AfterHoursFactory, PresentationFactory, SessionFactory, UserFactory

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
URL = "/admin/session_cleanup/cleanuprun/stats/"
TEMPLATES = Path(stats.__file__).parents[2] / "templates"
DIED_LONG_AGO = timedelta(hours=2)


class Tables(HTMLParser):
    """The text of each cell, by caption and row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self.caption = ""
        self.into: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "caption":
            self.into = [""]
        elif tag == "tr":
            self.found[self.caption].append([])
        elif tag in ("th", "td"):
            self.into = self.found[self.caption][-1]
            self.into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self.caption = self.into[-1]
            self.found[self.caption] = []
        if tag in ("caption", "th", "td"):
            self.into = []

    def handle_data(self, data: str) -> None:
        if self.into:
            self.into[-1] = f"{self.into[-1]} {data}".strip()


def page(client: Client) -> str:
    response = client.get(URL)
    assert response.status_code == 200
    return response.content.decode()


def tables(client: Client) -> dict[str, list[list[str]]]:
    html = re.sub(r"\s+", " ", page(client))
    return Tables(html[html.index('id="content-main"') :]).found


@pytest.fixture
def viewer(staff: Staff) -> Client:
    return staff("view_stats")


def test_its_name(client: Client) -> None:
    assert reverse("admin:session_cleanup_stats") == URL


def test_a_stranger_is_sent_to_the_login(client: Client) -> None:
    response = client.get(URL)
    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


def test_somebody_who_is_no_staff_is_sent_to_the_login(client: Client) -> None:
    client.force_login(UserFactory())
    assert client.get(URL).status_code == 302


def test_staff_without_the_permission_is_refused(staff: Staff) -> None:
    assert staff("view_cleanuprun").get(URL).status_code == 403


def test_staff_with_the_permission_and_superusers_are_let_in(staff: Staff, admin_client: Client) -> None:
    assert staff("view_stats").get(URL).status_code == 200
    assert admin_client.get(URL).status_code == 200


def test_every_job_with_what_is_due(viewer: Client) -> None:
    now = timezone.now()
    PresentationFactory(created_at=now - 25 * HOUR)
    PresentationFactory(created_at=now - 23 * HOUR)
    SessionFactory(expires_at=now - HOUR)
    held = SessionFactory(expires_at=now - HOUR)
    Hold.objects.place(held)

    rows = {row[0]: row for row in tables(viewer)["Jobs"][1:]}

    assert [name.split()[0] for name in rows] == [job.name for job in registry.jobs()]
    blank = rows["presentations-blank delete session_cleanup.Session"]
    assert blank[1:] == ["1", "never ran", "0 */6 * * *"]
    assert rows["collaborative-expired deactivate session_cleanup.Session"][1] == "1"


def test_the_schedule_in_force(viewer: Client, settings: Any) -> None:
    settings.SESSION_CLEANUP_SCHEDULES = {"presentations-blank": "15 3 * * *"}
    assert tables(viewer)["Jobs"][1][-1] == "15 3 * * *"


def test_the_last_run_of_each_job(viewer: Client, record: Any) -> None:
    record("ok", ago=timedelta(hours=9), jobs={"presentations-blank": "drained"})
    record("failed", ago=timedelta(hours=3), jobs={"presentations-blank": "failed"})
    record("ok", jobs={"after-hours-close": "drained"})

    rows = {row[0].split()[0]: row for row in tables(viewer)["Jobs"][1:]}

    assert rows["presentations-blank"][2:4] == ["failed", "3"]
    assert rows["presentations-blank"][4].endswith("3 hours ago")
    assert rows["after-hours-close"][2] == "drained"


def test_sessions_by_kind_and_state(viewer: Client) -> None:
    SessionFactory.create_batch(2)
    SessionFactory(is_active=False)
    SessionFactory(is_active=False, ended_at=timezone.now())
    AfterHoursFactory()

    assert tables(viewer)["Sessions by kind and state"][1:] == [
        ["after hours", "1", "0", "0", "1"],
        ["collaborative", "2", "1", "1", "4"],
    ]


def test_orphans_by_age(viewer: Client) -> None:
    for hours, count in ((0, 3), (2, 5), (7, 4), (25, 2)):
        PresentationFactory.create_batch(count, created_at=timezone.now() - hours * HOUR)
    PresentationFactory(created_at=timezone.now(), has_topic=True)

    assert tables(viewer)["Orphans by age (presentations-blank)"] == [
        ["<1h", "1-6h", "6-24h", ">24h", "Total"],
        ["3", "5", "4", "2", "14"],
    ]


def test_the_latest_runs_failures_first(viewer: Client, record: Any) -> None:
    record("failed", jobs={"presentations-blank": "failed", "after-hours-close": "drained"})
    died = record("running", ago=DIED_LONG_AGO, jobs={"presentations-blank": ""})
    record("running", jobs={"presentations-blank": ""})
    for _ in range(2):
        record("ok", jobs={"presentations-blank": "drained"})

    rows = tables(viewer)["Latest runs, failures first"][1:]

    assert [row[1] for row in rows] == ["died", "failed", "ok", "ok", "running"]
    assert rows[0][0] == f"{died.pk}"
    assert rows[1][2:4] == ["presentations-blank", "6"]


def test_no_more_than_the_latest_twenty_runs(viewer: Client, record: Any) -> None:
    for _ in range(stats.LATEST + 1):
        record("ok", jobs={})
    assert len(tables(viewer)["Latest runs, failures first"]) == 1 + stats.LATEST


def test_runs_are_links_for_those_who_may_see_runs(staff: Staff, viewer: Client, record: Any) -> None:
    link = f"/admin/session_cleanup/cleanuprun/{record('ok', jobs={}).pk}/change/"
    assert link not in page(viewer)
    client = staff("view_stats", "view_cleanuprun")
    assert link in page(client)
    assert client.get(link).status_code == 200


def test_an_empty_database(viewer: Client) -> None:
    found = tables(viewer)
    assert found["Sessions by kind and state"][1:] == [["There are no sessions."]]
    assert found["Latest runs, failures first"][1:] == [["There were no runs yet."]]


def test_a_broken_setting_is_shown(viewer: Client, settings: Any) -> None:
    settings.SESSION_CLEANUP_HOURS = 0
    html = page(viewer)
    assert "SESSION_CLEANUP_HOURS is 0, but must be a whole number from 1 to 168" in html
    assert "No run starts" in html


@pytest.mark.parametrize("name", ["LEASE_SECONDS", "STATS_TIMEOUT_MS", "PRESETS", "ENABLED", "SCHEDULES"])
def test_every_broken_setting_is_shown(viewer: Client, settings: Any, record: Any, name: str) -> None:
    record("running", jobs={"presentations-blank": ""})
    setattr(settings, f"SESSION_CLEANUP_{name}", "nonsense")
    assert f"SESSION_CLEANUP_{name} is &#x27;nonsense&#x27;" in page(viewer)


def test_a_policy_module_that_raises_is_shown(viewer: Client, monkeypatch: Any) -> None:
    monkeypatch.setitem(registry.failures, "shop.cleanup_policies", ImproperlyConfigured("no such shop"))
    assert "shop.cleanup_policies could not be imported" in page(viewer)


def test_a_broken_policy_is_shown_in_its_place(viewer: Client, declare: Any) -> None:
    declare(_policy("wrong", model="shop.Cart"), _policy("right"))
    SessionFactory(expires_at=timezone.now() - HOUR)

    due = {row[0].split()[0]: row[1] for row in tables(viewer)["Jobs"][1:]}

    assert "which is not installed" in due["wrong"]
    assert due["right"] == "1"


def test_a_missing_table_spoils_only_its_own_job(viewer: Client, declare: Any) -> None:
    declare(_policy("gone", model="testapp.Vehicle", clock="made_at"), _policy("right"))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE testapp_vehicle RENAME TO elsewhere")

    due = {row[0].split()[0]: row[1] for row in tables(viewer)["Jobs"][1:]}

    assert due["gone"] == "The database “default” lacks a table or a column: migrate it."
    assert due["right"] == "0"


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_database_that_is_down_spoils_only_its_own_jobs(
    viewer: Client, declare: Any, monkeypatch: Any
) -> None:
    connections["other"].close()
    monkeypatch.setitem(connections["other"].settings_dict, "NAME", "/nowhere/at/all")
    declare(*(_policy(f"down-{n}", database="other") for n in (1, 2)), _policy("right"))

    due = {row[0].split()[0]: row[1] for row in tables(viewer)["Jobs"][1:]}

    assert due["down-1"] == due["down-2"] == "The database “other” does not answer."
    assert due["right"] == "0"


def test_an_unknown_error_is_logged_whole_and_shown_by_name(
    viewer: Client, declare: Any, monkeypatch: Any, caplog: Any
) -> None:
    def spoilt(rows: Any) -> None:
        raise RuntimeError("the password is 123")

    declare(_policy("spoilt"))
    monkeypatch.setattr(stats.statistics, "count", spoilt)

    assert tables(viewer)["Jobs"][1][1] == "Could not be read (RuntimeError). The log says more."
    assert "the password is 123" in caplog.text


def test_what_takes_too_long_is_unknown_and_not_zero(viewer: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(stats.statistics, "count", lambda rows: None)

    found = tables(viewer)

    assert [row[1] for row in found["Jobs"][1:]] == [
        "unknown" if isinstance(job, Policy) else "–" for job in registry.jobs()
    ]
    assert found["Orphans by age (presentations-blank)"][1] == ["unknown"] * 5


def test_a_statement_that_takes_too_long_is_broken_off(settings: Any) -> None:
    settings.SESSION_CLEANUP_STATS_TIMEOUT_MS = 100

    def endless() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT 1 - i FROM n) SELECT max(i) FROM n"
            )

    reader = reading.Reader()
    assert reader.bounded("default", endless) is None
    assert reader.bounded("default", lambda: 1) == 1


def test_a_page_that_has_taken_too_long_reads_nothing_more(viewer: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(reading, "PATIENCE", -1)

    found = tables(viewer)

    assert [row[1] for row in found["Jobs"][1:]] == [
        "unknown" if isinstance(job, Policy) else "–" for job in registry.jobs()
    ]
    for caption in ("Sessions by kind and state", "Latest runs, failures first"):
        assert found[caption][1:] == [["unknown"]]


def test_disabled_is_said(viewer: Client, settings: Any) -> None:
    assert "Cleanup is disabled" not in page(viewer)
    settings.SESSION_CLEANUP_ENABLED = False
    assert "Cleanup is disabled" in page(viewer)


def test_queries_do_not_grow_with_rows_or_runs(viewer: Client, record: Any) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(viewer)
        return len(captured)

    record("ok", jobs={"presentations-blank": "drained"})
    SessionFactory()
    few = queries()
    for status, end_state in (("ok", "drained"), ("failed", "failed"), ("running", "")) * 4:
        jobs = {job.name: end_state for job in registry.jobs()}
        record(status, ago=DIED_LONG_AGO, jobs=jobs)
    SessionFactory.create_batch(20, expires_at=timezone.now() - HOUR)
    PresentationFactory.create_batch(20, created_at=timezone.now() - 30 * HOUR)

    assert queries() == few
    # Inside a transaction a bounded count is six statements: SAVEPOINT, bounds read, set and put back.
    counts = len(registry.jobs()) + 4
    assert few <= 6 * counts + 30


def test_nothing_is_written(viewer: Client) -> None:
    SessionFactory(expires_at=timezone.now() - HOUR)
    with CaptureQueriesContext(connection) as captured:
        page(viewer)
    first_words = {query["sql"].split()[0].upper() for query in captured}
    assert first_words <= {"SELECT", "SAVEPOINT", "RELEASE", "BEGIN"}


def test_no_inline_script_or_style(viewer: Client, record: Any) -> None:
    record("failed", jobs={"presentations-blank": "failed"})
    html = page(viewer)
    html = html[html.index('id="content-main"') : html.index('id="footer"')]
    assert not re.search(r"<(script|style)|\s(style|on\w+)=", html)


def test_tables_can_be_read_aloud(viewer: Client) -> None:
    html = page(viewer)
    assert html.count("<table>") == html.count("<caption ") == 4
    assert "<th>" not in html
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT', html)


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_every_text_can_be_translated(template: Path) -> None:
    text = template.read_text()
    text = re.sub(r"{% blocktranslate.*?endblocktranslate %}", "", text, flags=re.DOTALL)
    text = re.sub(r"{% block bodyclass %}.*?{% endblock %}", "", text)
    text = re.sub(r"{%.*?%}|{{.*?}}|<[^>]*>|&\w+;", "", text)
    assert not re.search(r"\w", text)


def test_it_speaks_the_language_of_the_reader(viewer: Client, record: Any) -> None:
    record("ok", ago=timedelta(hours=3), jobs={})
    html = viewer.get(URL, headers={"accept-language": "de"}).content.decode()
    assert "3\xa0Stunden" in html


def test_it_is_linked_from_the_app_and_from_the_runs(staff: Staff) -> None:
    for where in ("/admin/session_cleanup/", "/admin/session_cleanup/cleanuprun/"):
        assert URL in staff("view_stats", "view_cleanuprun").get(where).content.decode()
        assert URL not in staff("view_cleanuprun").get(where).content.decode()


def _policy(name: str, *, model: str = "session_cleanup.Session", **fields: Any) -> Policy:
    clock = fields.pop("clock", "expires_at")
    return Policy(name=name, model=model, select=Aged(clock), action=Delete(), **fields)
