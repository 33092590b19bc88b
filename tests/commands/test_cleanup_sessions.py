"""The command: what it does, prints and returns. What it refuses is in test_bad_input."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models.signals import pre_delete
from django.utils import timezone

from session_cleanup.models import CleanupLease, CleanupRun, JobRun, Session
from session_cleanup.policies import Aged, Delete, Policy, registry
from tests.commands.calling import JOBS, WHEN_ASKED_FOR, by_name, call, report_of
from tests.commands.rows import dump
from tests.factories import SessionFactory
from tests.policies.checking import HOUSEKEEPING


def test_call_command_returns_normally_on_success(some_due):
    assert call_command("cleanup_sessions", stdout=StringIO()) is None

    assert Session.objects.active().count() == 0


def test_every_job_but_the_weekly_and_monthly_ones_runs_in_order(some_due, settings):
    assert [job["name"] for job in report_of()["jobs"]] == [job for job in JOBS if job not in WHEN_ASKED_FOR]


def test_weekly_jobs_run_when_they_are_asked_for(db, declare):
    select = Aged("created_at")
    for_all = {"model": "session_cleanup.Session", "select": select, "action": Delete()}
    declare(
        Policy(name="rare", group="weekly", **for_all),
        Policy(name="often", group="daily", **for_all),
    )

    assert [job["name"] for job in report_of()["jobs"]] == ["often", *HOUSEKEEPING]
    assert [job["name"] for job in report_of("--type", "weekly")["jobs"]] == ["rare"]
    assert [job["name"] for job in report_of("rare")["jobs"]] == ["rare"]


def test_jobs_and_presets_are_chosen_by_name_and_run_in_their_order(some_due):
    report = report_of("after-hours-close", "collaborative", "after-hours-close")

    assert [job["name"] for job in report["jobs"]] == ["collaborative-expired", "after-hours-close"]


def test_max_rows_leaves_work(some_due):
    report = report_of("presentations-blank", "--max-rows", "1")

    assert (report["status"], report["exit_status"]) == ("incomplete", 3)
    assert report["jobs"][0]["end_state"] == "capped"
    assert Session.objects.blank().count() == 1


def test_max_rows_that_suffice_leave_none(some_due):
    assert report_of("presentations-blank", "--max-rows", "2")["status"] == "ok"


def test_batch_size_is_the_largest_batch(some_due):
    [job] = report_of("presentations-blank", "--batch-size", "1")["jobs"]

    assert (job["changed"], job["batches"]) == (2, 2)


def test_a_failed_job_is_named_and_does_not_stop_the_others(some_due, fail_when):
    fail_when(pre_delete, Session)

    report = report_of()

    assert (report["status"], report["exit_status"]) == ("failed", 1)
    jobs = by_name(report)
    assert jobs["presentations-blank"]["error"] == "RuntimeError: the test says no."
    assert jobs["collaborative-expired"]["end_state"] == "drained"
    record = JobRun.objects.get(job="presentations-blank")
    assert (record.end_state, record.run.status, record.run.exit_status) == ("failed", "failed", 1)
    assert "RuntimeError" in record.error


def held_lease(job):
    now = timezone.now()
    CleanupLease.objects.create(
        job=job, holder="web-2 (pid 4121)", since=now, expires_at=now + timedelta(minutes=1)
    )


def test_a_job_that_another_process_runs_is_left_to_it_and_the_others_are_done(some_due):
    held_lease("presentations-blank")

    report = report_of()

    assert (report["status"], report["exit_status"]) == ("busy", 4)
    jobs = by_name(report)
    assert jobs["presentations-blank"]["end_state"] == "busy"
    assert "is being run by web-2 (pid 4121) since" in jobs["presentations-blank"]["error"]
    assert jobs["collaborative-expired"]["changed"] == 1
    assert Session.objects.blank().count() == 2


def test_a_failure_comes_before_a_busy_job_and_a_limit(some_due, fail_when):
    held_lease("collaborative-expired")
    fail_when(pre_delete, Session)

    assert report_of("--max-rows", "1")["exit_status"] == 1


def test_disabled_runs_change_nothing_say_why_and_exit_zero(some_due, settings, caplog):
    settings.SESSION_CLEANUP_ENABLED = False
    before = dump()

    report = report_of()
    status, shown = call()

    assert (report["status"], report["exit_status"], status) == ("disabled", 0, 0)
    assert {job["end_state"] for job in report["jobs"]} == {"disabled"}
    assert "SESSION_CLEANUP_ENABLED is False" in shown
    assert "SESSION_CLEANUP_ENABLED is False" in caplog.text
    assert dump() == before


def test_disabled_cleanup_can_still_be_looked_at(some_due, settings):
    settings.SESSION_CLEANUP_ENABLED = False

    assert report_of("collaborative-expired", "--dry-run")["jobs"][0]["due"] == 1
    assert report_of("--stats")["stats"]["collaborative"]["due"] == 1
    assert "collaborative-expired" in call("--list")[1]


def test_the_history_says_what_was_asked_for(some_due):
    call("presentations-blank", "--max-rows", "1", "--max-age", "48")

    run = CleanupRun.objects.get()
    assert run.options == {"jobs": ["presentations-blank"], "max_rows": 1, "max_age": 48}
    assert (run.trigger, run.status, run.exit_status) == ("command", "incomplete", 3)
    assert run.started_at <= run.finished_at <= datetime.now(UTC)


def test_every_job_of_the_table_is_registered():
    assert [job.name for job in registry.jobs()] == JOBS


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_project_without_time_zones(db, settings, zone):
    settings.USE_TZ = False
    settings.TIME_ZONE = zone
    now = timezone.now()
    for past in (timedelta(minutes=5), -timedelta(minutes=5)):
        SessionFactory(created_at=now, last_activity_at=now, expires_at=now - past)

    report = report_of("collaborative-expired")

    assert report["jobs"][0]["changed"] == 1
    assert Session.objects.inactive().get().ended_at - now < timedelta(minutes=1)
    run = CleanupRun.objects.get()
    assert (run.state, run.jobs.get().state) == ("ok", "drained")
