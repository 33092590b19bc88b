"""The rendered Railway service."""

import json
import shlex

import pytest
from django.core.management import load_command_class

from session_cleanup.exceptions import ConfigurationError
from tests.scheduling.examples import TIMERS, jobs, render


def test_railway_starts_one_job_by_its_schedule_and_never_again():
    config = json.loads(render("railway", job="declines")["railway/railway.json"])

    assert config["deploy"] == {
        "startCommand": "python manage.py cleanup_sessions declines",
        "cronSchedule": "0 4 * * *",
        "restartPolicyType": "NEVER",
    }


def test_railway_takes_the_blank_presentations_or_else_the_first_job():
    blank = {**TIMERS, "0 */6 * * *": jobs("presentations-blank")}

    assert "presentations-blank" in render("railway", timers=blank)["railway/railway.json"]
    assert "cleanup_sessions close" in render("railway")["railway/railway.json"]


def test_the_command_reads_what_railway_starts():
    command = json.loads(render("railway")["railway/railway.json"])["deploy"]["startCommand"]
    python, manage, name, *arguments = shlex.split(command)
    parser = load_command_class("session_cleanup", name).create_parser(manage, name)

    assert (python, manage) == ("python", "manage.py")
    assert "close" in str(vars(parser.parse_args(arguments)))


def test_the_steps_name_the_job_and_its_variables():
    steps = render("railway", job="declines")["railway/README.md"]

    assert "cleanup-declines" in steps
    assert "DJANGO_SETTINGS_MODULE=shop.settings" in steps
    assert "${{ Postgres.DATABASE_URL }}" in steps


@pytest.mark.parametrize(
    ("job", "timers", "problem"),
    [
        ("nothing", TIMERS, "Choose one of close, declines, often"),
        ("a", {"*/4 * * * *": jobs("a")}, "every 5 minutes"),
        ("a", {"58 23 * * *": jobs("a"), "0 0 * * *": jobs("b")}, None),
        ("a", {"58,0 0,23 * * *": jobs("a")}, "every 5 minutes"),
    ],
)
def test_railway_refuses_what_it_would_not_run(job, timers, problem):
    if problem is None:
        render("railway", job=job, timers=timers)
        return
    with pytest.raises(ConfigurationError, match=problem):
        render("railway", job=job, timers=timers)
