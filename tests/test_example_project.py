import ast
import json
import os
import runpy
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from session_cleanup.conf import SETTINGS

PROJECT = Path(__file__).parent.parent / "example_project"


def variables_read():
    """The names in calls of env(…), env.int(…) and their like."""
    tree = ast.parse((PROJECT / "settings.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            if isinstance(function, ast.Name) and function.id == "env":
                yield node.args[0].value


def example():
    lines = (PROJECT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture
def settings_with(monkeypatch):
    """Reads the example project's settings in an environment of these variables only."""

    def read(**variables):
        monkeypatch.setattr(environ.Env, "ENVIRON", variables)
        monkeypatch.setattr(environ.Env, "read_env", lambda *args: None)
        return runpy.run_path(str(PROJECT / "settings.py"))

    return read


def test_the_example_environment_names_exactly_the_variables_that_are_read():
    assert sorted(variables_read()) == sorted(example())


def test_every_variable_of_the_example_has_its_comment():
    lines = (PROJECT / ".env.example").read_text().splitlines()

    for before, line in pairwise(lines):
        assert line.startswith("#") or not line or before.startswith("#"), line


@pytest.mark.parametrize("variables", [{"DEBUG": "true"}, example()], ids=["empty", "example"])
def test_the_example_values_are_the_defaults_of_the_app(settings_with, variables):
    read = settings_with(**variables)

    for name in (name for name in read if name.startswith("SESSION_CLEANUP_")):
        if name not in ("SESSION_CLEANUP_PRESETS", "SESSION_CLEANUP_HOLDER_MODEL"):
            assert read[name] == SETTINGS[name.removeprefix("SESSION_CLEANUP_")].default, name


def test_none_of_the_documented_environment_variables_was_read(settings_with):
    """All of them reach the settings."""
    read = settings_with(
        SECRET_KEY="x",
        DATABASE_URL="postgres://user@/name?host=/run/postgresql",
        SESSION_CLEANUP_ENABLED="false",
        SESSION_CLEANUP_ENDED_DAYS="30",
        ALLOWED_HOSTS="a.example,b.example",
    )

    assert read["DATABASES"]["default"]["OPTIONS"] == {"host": "/run/postgresql"}
    assert read["SESSION_CLEANUP_ENABLED"] is False
    assert read["SESSION_CLEANUP_ENDED_DAYS"] == 30
    assert read["ALLOWED_HOSTS"] == ["a.example", "b.example"]


@pytest.mark.parametrize("variables", [{}, {"SECRET_KEY": ""}, {"DEBUG": "false"}])
def test_no_secret_key_is_made_up_outside_development(settings_with, variables):
    with pytest.raises(ImproperlyConfigured, match="DEBUG=true"):
        settings_with(**variables)


@pytest.fixture
def manage(tmp_path):
    """Runs the example project's manage.py on a database of its own."""
    inherited = {"PATH": os.environ["PATH"]}
    database = {"DEBUG": "true", "DATABASE_URL": f"sqlite:///{tmp_path}/demo.sqlite3"}

    def run(*arguments):
        command = [sys.executable, "-W", "error", "manage.py", *arguments]
        environment = inherited | database
        done = subprocess.run(command, env=environment, cwd=PROJECT.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("migrate", "--verbosity", "0")
    return run


@pytest.mark.slow
def test_demo_data_gives_every_job_something_to_do_and_something_to_keep(manage):
    loaded = manage("load_demo")
    again = manage("load_demo")
    anew = manage("load_demo", "--reset")
    preview = json.loads(manage("cleanup_sessions", "--dry-run", "--format", "json"))
    result = json.loads(manage("cleanup_sessions", "--format", "json"))
    left = json.loads(manage("cleanup_sessions", "--stats", "--format", "json"))

    assert loaded == anew
    assert "already" in again
    idle = [job["name"] for job in preview["jobs"] if not job["due"]]
    assert all(name.startswith("housekeeping-") for name in idle)
    assert [job["changed"] for job in result["jobs"]] == [job["due"] for job in preview["jobs"]]
    del left["stats"]["housekeeping-reports"]  # no month is over yet
    assert all(kept["total"] and not kept["due"] for kept in left["stats"].values())
