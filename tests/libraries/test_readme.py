"""The README's table of library presets says what there is, with all of them on."""

from contextlib import suppress

import pytest
from django.apps import apps
from django.core.management import call_command

from session_cleanup.policies import registry
from session_cleanup.policies.presets import KEPT, LIBRARIES
from session_cleanup.policies.validation import problems
from tests import readme

ROWS = {readme.code(row[0])[0]: row for row in readme.table("library preset")}


@pytest.fixture
def jobs(on, settings):
    on(*LIBRARIES)
    settings.SESSION_CLEANUP_KEEP_DAYS = {"celery-results": 1}
    return [job for job in registry.jobs() if job.preset]


def test_every_preset_with_its_app():
    assert {preset: readme.code(row[1])[0] for preset, row in ROWS.items()} == {
        preset: library.app for preset, library in LIBRARIES.items()
    }


def test_every_job(jobs):
    said = {
        (preset, name)
        for preset, row in ROWS.items()
        for name in readme.code(row[3])
        if name.startswith(f"{preset}-") and name != "simple-history-shop-historicalcart"
    }

    there = {(job.preset, job.name) for job in jobs}
    assert there - said == {("simple-history", "simple-history-libraries-historicalnote")}
    assert said <= there


def test_the_days(jobs):
    for job in jobs:
        if job.preset in KEPT and job.preset != "celery-results":
            assert f"{job.age.days} days" in ROWS[job.preset][3], job.name


def test_no_job_is_wrong_and_only_indexes_are_missing(jobs):
    assert {problem.id for problem in problems()} <= {"W005"}


def test_the_doctor_prints_the_migrations_that_w005_names(jobs, db, capsys):
    warned = [problem.hint.partition("cleanup_doctor ")[2].partition("`")[0] for problem in problems()]
    assert len(warned) > 5
    assert set(warned) <= {job.name for job in jobs}

    with suppress(SystemExit):  # it found something serious
        call_command("cleanup_doctor", warned[0])

    assert "CREATE INDEX" in capsys.readouterr().out


def test_they_are_listed(jobs, capsys):
    call_command("cleanup_sessions", "--list")

    listed = capsys.readouterr().out
    assert all(job.name in listed for job in jobs)


def test_each_is_refused_without_its_app(settings, monkeypatch):
    monkeypatch.setattr(apps, "is_installed", lambda name: False)
    for preset, library in LIBRARIES.items():
        settings.SESSION_CLEANUP_PRESETS = [preset]
        [problem] = problems()
        assert (problem.id, f"{library.app!r} is not in INSTALLED_APPS" in problem.message) == ("E003", True)
