"""session_report shows what is stored, in every form, and refuses what is not there."""

import json

import pytest
from django.core.management.base import CommandError

from session_cleanup.models import SessionReport
from session_cleanup.reporting.tables import SECTIONS
from tests.commands.calling import call
from tests.reports import browser


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
