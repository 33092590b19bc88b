"""A run as text: one block a job, what went along, what was skipped, and how it ended."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from session_cleanup.engine.report import JobReport, ListedRow, RunReport, Statistics
from session_cleanup.policies import registry
from session_cleanup.reporting import text
from session_cleanup.scheduling.schedules import schedule_of
from tests.factories import DAY, HOUR, NOW


def job(name="presentations-blank", **values):
    return JobReport(
        **{
            "name": name,
            "model": "session_cleanup.Session",
            "database": "default",
            "group": "daily",
            "action": "delete",
            "verb": "deleted",
            "end_state": "drained",
            **values,
        }
    )


def shown(*jobs, dry_run=False, verbose=False, stats=None):
    report = RunReport(run=1, dry_run=dry_run, started_at=NOW, finished_at=NOW, jobs=list(jobs), stats=stats)
    return text.render(report, verbose=verbose)


def test_several_jobs_have_a_block_each():
    declines = job("after-hours-declines", model="session_cleanup.SessionDecline", changed=2, cutoff=NOW)

    lines = shown(job(changed=1), declines)

    assert "Cleanup Result: presentations-blank\n" in lines
    assert (
        "Cleanup Result: after-hours-declines\n"
        "  Success: True\n"
        "  Declines found: 2\n"
        "  Declines deleted: 2\n"
        "  Cutoff time: 2026-01-04T06:00:00.123456Z\n"
    ) in lines


def test_the_noun_is_the_models_and_the_verb_the_actions():
    closed = job(model="session_cleanup.DeviceFingerprint", verb="closed", changed=3)

    assert "  Device fingerprints closed: 3\n" in shown(closed)


def test_found_is_what_was_changed_and_what_was_skipped():
    lines = shown(job(changed=3, skipped={"locked": 1, "held": 2, "protected": 0}))

    assert "  Sessions found: 6\n  Sessions deleted: 3\n" in lines
    assert "  Skipped (held): 2\n  Skipped (locked): 1\n" in lines
    assert "protected" not in lines


def test_what_a_job_waited_for_is_said_with_the_time_it_took():
    lines = shown(job(waited={"replica_lag": 3.21, "wal": 0.5}))

    assert "  Waited (replica lag): 3.2 s\n  Waited (wal): 0.5 s\n" in lines
    assert "Waited" not in shown(job())


def test_related_rows_have_lines_of_their_own():
    lines = shown(job(changed=1, related={"session_cleanup.SessionMember": 4, "testapp.Book": 1}))

    assert "  Related session members: 4\n" in lines
    assert "  Related books: 1\n" in lines


def test_a_dry_run_says_what_would_be_done():
    lines = shown(job(end_state=None, due=3, verb="deactivated"), dry_run=True)

    assert "Session Cleanup Job (dry run) - 2026-01-04T06:00:00.123456Z" in lines
    assert "  Sessions that would be deactivated: 3\n" in lines
    assert "Success" not in lines
    assert lines.endswith(f"{text.RULE}\nDry run: nothing was changed\n{text.RULE}\n")


def test_a_dry_run_that_is_not_exact_says_why():
    lines = shown(job(end_state=None, due=3, inexact=["because", "and so"]), dry_run=True)

    assert "  Not exact: because; and so\n" in lines


@pytest.mark.parametrize(
    ("end_state", "success", "footer"),
    [
        ("drained", True, "Cleanup completed successfully"),
        ("drained_with_skips", True, "Cleanup completed successfully"),
        ("failed", False, "Cleanup failed: presentations-blank"),
        ("lease_lost", False, "Cleanup failed: presentations-blank"),
        ("busy", False, "Cleanup left to another process: presentations-blank"),
        ("capped", True, "Cleanup incomplete: run it again to go on"),
        ("timed_out", True, "Cleanup incomplete: run it again to go on"),
        ("stopped", True, "Cleanup stopped after the batch under way"),
        ("disabled", True, "Cleanup is disabled: nothing was changed"),
    ],
)
def test_how_a_run_ended(end_state, success, footer):
    lines = shown(job(end_state=end_state, error=None if success else "It broke."))

    assert f"  Success: {success}\n" in lines
    assert ("  Error: It broke.\n" in lines) is not success
    assert lines.endswith(f"{text.RULE}\n{footer}\n{text.RULE}\n")


def test_the_jobs_that_failed_are_named_and_no_others():
    lines = shown(job("one", end_state="failed", error="x"), job("two"), job("three", end_state="failed"))

    assert "\nCleanup failed: one, three\n" in lines


@pytest.mark.parametrize(
    ("age", "said"), [(DAY, "24 hours"), (2 * DAY, "2 days"), (HOUR, "1 hour"), (36 * HOUR, "36 hours")]
)
def test_the_age_in_force_is_shown_when_an_option_set_it(age, said):
    assert f"  Age in force: {said}" in shown(job(age=age, age_option="max-age"))
    assert "Age in force" not in shown(job(age=age))


def test_a_listed_row_shows_its_columns_key_age_and_clock():
    rows = [
        ListedRow(7, NOW - 36 * HOUR, {"title": "Pairing"}),
        ListedRow("key", None, {}),
        ListedRow(9, (NOW - DAY).date(), {"title": "", "owner": None}),
    ]

    lines = shown(job(rows=rows, more_rows=12, clock="expires_at"))

    assert (
        "Due for presentations-blank:\n"
        "  - Pairing, id 7, expires_at 2026-01-02T18:00:00.123456Z (1.5 days ago)\n"
        "  - id key\n"
        "  - id 9, expires_at 2026-01-03\n"
        "  … and 12 more\n"
    ) in lines


def test_a_listed_clock_of_a_project_without_time_zones(settings):
    settings.USE_TZ = False
    rows = [ListedRow(7, datetime(2026, 1, 3, 6, 0, 0, 123456), {})]

    assert "id 7, expires_at 2026-01-03T06:00:00.123456Z (1.0 days ago)" in shown(
        job(rows=rows, clock="expires_at")
    )


def test_figures_that_are_not_known_are_not_zero():
    ages = {"<1h": 3, ">1h": None}
    stats = {
        "presentations": Statistics("session_cleanup.Session", total=None, due=2, orphaned=None, by_age=ages)
    }

    lines = shown(job(), verbose=True, stats=stats)

    assert "  By age: <1h=3, >1h=?\n" in lines
    assert "  Total orphaned: not known" in lines
    assert "  Sessions that would be cleaned up: 2\n" in lines


def test_the_list_of_jobs_is_a_table():
    jobs = registry.jobs()

    lines = text.render_list(jobs, {job.name: schedule_of(job) for job in jobs}).splitlines()

    assert lines[0].split() == ["JOB", "GROUP", "SCHEDULE", "(UTC)", "ACTION", "MODEL", "AGE"]
    assert len(lines) == len(jobs) + 1
    assert lines[1].startswith("presentations-blank ")
    assert lines[1].endswith(" 24 hours")
    assert len({line.index(f" {job.group} ") for line, job in zip(lines[1:], jobs, strict=True)}) == 1


def test_times_are_utc_with_z():
    started = NOW.astimezone(ZoneInfo("Asia/Tokyo"))
    report = RunReport(run=1, dry_run=False, started_at=started, finished_at=NOW, jobs=[job()])

    assert "Session Cleanup Job - 2026-01-04T06:00:00.123456Z" in text.render(report)
