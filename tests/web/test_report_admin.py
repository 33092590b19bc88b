"""The monthly reports in the admin: to look at, and each as a page."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from session_cleanup.reporting import charts

LIST = reverse("admin:session_cleanup_sessionreport_changelist")


@pytest.fixture
def page(document: Any, stored: Any) -> str:
    report = stored("2025-12", document["metrics"], document["recommendations"])
    return reverse("admin:session_cleanup_report", args=[report.pk])


def test_the_list_leads_to_the_page(admin_client: Client, page: str) -> None:
    assert page in admin_client.get(LIST).content.decode()

    shown = admin_client.get(page)
    assert shown.status_code == 200
    assert shown["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    text = shown.content.decode()
    assert "Browser Session Report 2025-12" in text
    assert "<script" not in text


def test_the_page_asks_for_the_permission(staff: Any, page: str) -> None:
    assert staff().get(page).status_code == 403
    assert staff("view_stats").get(page).status_code == 403
    assert staff("view_sessionreport").get(page).status_code == 200
    assert Client().get(page).status_code == 302


def test_a_report_that_is_not_there(admin_client: Client) -> None:
    assert admin_client.get(reverse("admin:session_cleanup_report", args=[1])).status_code == 404


def test_nobody_changes_or_deletes_one(admin_client: Client, page: str) -> None:
    one = page.replace("page/", "")
    assert admin_client.post(f"{one}delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"{one}change/", {"month": "2025-01-01"}).status_code == 403
    assert admin_client.get(f"{one}change/").status_code == 200


def test_without_pygal_it_says_what_to_install(
    admin_client: Client, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "find_spec", lambda name: None)

    shown = admin_client.get(page)
    assert shown.status_code == 503
    assert b"session-cleanup[report]" in shown.content
