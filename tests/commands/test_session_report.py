"""session_report shows what is stored, in every form, and refuses what is not there."""

import csv
import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from session_cleanup.analytics import monitoring
from session_cleanup.analytics.monitoring import SECTIONS as MONITORING
from session_cleanup.models import OccurrenceLog, Session, SessionReport
from session_cleanup.reporting import listings
from session_cleanup.reporting.tables import SECTIONS
from tests.commands.calling import call
from tests.factories import HOUR, NOW, OccurrenceFactory, SeriesFactory
from tests.reports import HOSTILE, browser


def shown(*arguments):
    status, text = call(*arguments, command="session_report")
    assert status == 0
    return text


@pytest.fixture
def _reports(document, stored):
    for month in ("2025-11", "2025-12"):
        stored(month, document["metrics"], document["recommendations"])


@pytest.mark.usefixtures("_reports")
def test_the_newest_report_or_that_of_a_month():
    assert shown().startswith("Browser Session Report - 2025-12 (as of 2026-01-04T06:00:00Z)\n")
    assert shown("--month", "2025-11").startswith("Browser Session Report - 2025-11 ")


@pytest.mark.usefixtures("_reports")
@pytest.mark.parametrize("section", SECTIONS)
def test_each_section_in_each_form(section):
    for form in ("text", "json", "csv", "html"):
        assert shown("--section", section, "--format", form)


@pytest.mark.usefixtures("_reports")
def test_json_is_one_object_and_csv_and_html_are_whole():
    assert json.loads(shown("--format", "json"))["month"] == "2025-12"
    assert shown("--format", "csv").startswith("section,table,row,column,value\r\n")
    assert shown("--format", "html").startswith("<!doctype html>")


@pytest.mark.usefixtures("_reports")
def test_anonymised():
    assert "alert(1)" in shown("--format", "html")
    for form in ("text", "json", "csv", "html"):
        assert "alert(1)" not in shown("--format", form, "--anonymise")


@pytest.mark.usefixtures("_reports")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--month", "2026-01"], "There is no report of 2026-01. There are those of 2025-12, 2025-11."),
        (["--month", "Jan"], "--month is 'Jan'. Give a year and a month, such as 2026-01."),
    ],
)
def test_what_is_not_there_is_refused(arguments, said):
    with pytest.raises(CommandError) as refused:
        call(*arguments, command="session_report")

    assert (str(refused.value), refused.value.returncode) == (said, 2)


def test_without_any_report_it_says_how_to_make_one(db):
    with pytest.raises(CommandError, match="cleanup_sessions browser-report") as refused:
        call(command="session_report")

    assert refused.value.returncode == 2


def test_a_monthly_dry_run_prints_the_report_and_stores_nothing(db, settings):
    settings.SESSION_CLEANUP_PRESETS = ["browser"]
    browser(3)

    status, text = call("--type", "monthly", "--dry-run")
    assert status == 0
    assert "Browser Session Report - " in text
    assert "Reports that would be stored: 1" in text
    status, text = call("--type", "monthly", "--dry-run", "--format", "json")
    [job] = json.loads(text)["jobs"]
    assert (job["model"], job["due"], job["report"]["metrics"]["sessions"]["total"]) == (None, 1, 3)
    assert not SessionReport.objects.exists()


@pytest.fixture
def _recurring(db):
    series = SeriesFactory(name="Yoga")
    begins = timezone.now() + HOUR
    OccurrenceFactory(
        title=HOSTILE,
        series=series,
        starts_at=begins,
        payload={"cookies": ["c00kie"]},
        settings={"pin": "p1n"},
    )
    SeriesFactory(name='=HYPERLINK("x")', settings={"pin": "p1n"})
    OccurrenceLog.objects.note("generated", Session.objects.all(), begins)


@pytest.mark.usefixtures("_recurring")
@pytest.mark.parametrize("form", ["text", "json", "csv", "html"])
@pytest.mark.parametrize("section", MONITORING)
def test_each_listing_in_each_form_is_whole_and_harmless(section, form):
    text = shown("--section", section, "--format", form)

    assert "Yoga" in text
    assert not [secret for secret in ("c00kie", "p1n") if secret in text]
    assert all(sign.isprintable() or sign in "\r\n" for sign in text)
    if form == "html":
        assert "<script" not in text
    if form == "json":
        listing = json.loads(text)["sections"][section]
        assert (len(listing["rows"]), listing["more"]) == (1 if section in ("upcoming", "log") else 2, False)
    if form == "csv":
        lines = list(csv.reader(StringIO(text)))
        assert lines[0] == list(MONITORING[section]("default", NOW).columns)
        assert len({len(line) for line in lines}) == 1
        assert not [cell for line in lines for cell in line if cell.startswith(("=", "@", "+"))]


@pytest.mark.usefixtures("_recurring")
def test_several_listings_are_shown_in_the_order_asked_for():
    text = shown("--section", "per-series", "--section", "upcoming")

    assert text.startswith("Recurring Sessions - 2")
    assert text.index("by series:") < text.index("Sessions of the next 7 days")
    assert list(
        json.loads(shown("--section", "log", "--section", "series", "--format", "json"))["sections"]
    ) == [
        "log",
        "series",
    ]


@pytest.mark.parametrize("section", MONITORING)
def test_without_anything_recurring_a_listing_is_empty(db, section):
    assert shown("--section", section).endswith(":\n  none\n")


@pytest.mark.parametrize(("form", "place"), [("text", "stdout"), ("html", "stdout"), ("csv", "stderr")])
@pytest.mark.usefixtures("_recurring")
def test_what_is_left_out_is_said(monkeypatch, form, place):
    monkeypatch.setattr(monitoring, "MOST", 1)
    monkeypatch.setattr(listings, "MOST", 1)
    said = {"stdout": StringIO(), "stderr": StringIO()}

    call_command("session_report", "--section", "series", "--format", form, **said)

    assert "more: these are the first 1." in said[place].getvalue()
    assert sum("more: these" in each.getvalue() for each in said.values()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--month", "2026-01"], "--section log shows what is so now. Leave --month out."),
        (
            ["--anonymise"],
            "--section log has the names of sessions and series, which it cannot hide. Leave --anonymise "
            "out.",
        ),
        (
            ["--section", "usage"],
            "--section usage is of a monthly report, and the others are not. Ask for it by itself.",
        ),
        (
            ["--section", "series", "--format", "csv"],
            "--format csv has the columns of one section, and log, series were chosen. Name one, or take "
            "--format json.",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(db, arguments, said):
    with pytest.raises(CommandError) as refused:
        call("--section", "log", *arguments, command="session_report")

    assert (str(refused.value), refused.value.returncode) == (said, 2)
