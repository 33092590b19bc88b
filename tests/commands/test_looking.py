"""--dry-run, --stats, --list and --help show something and change nothing."""

import json

import pytest
from django.core.management import call_command

from tests.commands.calling import JOBS, call
from tests.commands.rows import dump


@pytest.mark.parametrize(
    "arguments", [["--dry-run"], ["--dry-run", "--verbose", "-v", "3"], ["--stats"], ["--list"]]
)
@pytest.mark.parametrize("shape", ["text", "json"])
def test_looking_writes_nothing_at_all(some_due, arguments, shape):
    before = dump()

    call(*arguments, "--format", shape)

    assert dump() == before
    assert len(before["session_cleanup.Session"]) == 3


def test_the_list_shows_every_job_with_its_schedule(db):
    jobs = {job["name"]: job for job in json.loads(call("--list", "--format", "json")[1])}
    shown = call("--list")[1]

    assert list(jobs) == JOBS
    assert jobs["presentations-blank"]["schedule"] == "0 */6 * * *"
    assert jobs["after-hours-declines"]["age_seconds"] == 7 * 24 * 3600
    assert all(name in shown for name in JOBS)


def test_the_list_follows_the_schedules_of_the_project(db, settings):
    settings.SESSION_CLEANUP_SCHEDULES = {"daily": "7 7 * * *", "after-hours-close": "9 9 * * *"}

    jobs = {job["name"]: job for job in json.loads(call("--list", "--format", "json")[1])}

    assert jobs["after-hours-close"]["schedule"] == "9 9 * * *"
    assert jobs["collaborative-expired"]["schedule"] == "7 7 * * *"


def test_the_help_teaches_by_example_and_names_every_exit_status(capsys):
    with pytest.raises(SystemExit) as left:
        call_command("cleanup_sessions", "--help")

    shown = capsys.readouterr().out
    assert left.value.code == 0
    assert "manage.py cleanup_sessions --dry-run --verbose" in shown
    assert all(f"  {status}  " in shown for status in range(6))
