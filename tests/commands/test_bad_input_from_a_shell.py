"""The same from a shell: one line on stderr, the exit status, no traceback, and nothing is lost."""

import json
import textwrap

import pytest

from session_cleanup.models import CleanupRun, Session
from tests.commands.manage import assert_refused, manage, url_beside, url_of_test_database
from tests.factories import DAY, NOW, PresentationFactory


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-age", "0"], ["--max-age is 0"]),
        (["--max-age", "-1"], ["--max-age is -1"]),
        (["--max-rows", "9" * 40], ["--max-rows is "]),
        (["--max-seconds", "-1e3"], ["--max-seconds"]),
        (["--max-rows"], ["--max-rows"]),
        (["--format", "xml"], ["--format", "xml"]),
        (["--no-such-option"], ["--no-such-option"]),
        (["colaborative-expired"], ["Did you mean 'collaborative-expired'?"]),
        (["--type", "yearly"], ["There is no group 'yearly'"]),
        (["--database", "elsewhere"], ["There is no database 'elsewhere'"]),
        (["--stats", "--max-rows", "3"], ["--stats", "--max-rows"]),
    ],
)
def test_the_command_line_gives_one_clear_line(arguments, words):
    assert_refused(manage("cleanup_sessions", *arguments), 2, *words)


@pytest.mark.once
def test_a_traceback_only_when_it_is_asked_for():
    done = manage("cleanup_sessions", "--max-age", "0", "--traceback")

    assert "Traceback (most recent call last)" in done.stderr
    assert "--max-age is '0'" in done.stderr or "--max-age is 0" in done.stderr
    assert done.returncode != 0


@pytest.mark.once
@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["--stats"], ["--format", "json"]])
def test_missing_tables(tmp_path, arguments):
    done = manage("cleanup_sessions", *arguments, database=f"sqlite:///{tmp_path}/empty.sqlite3")

    assert_refused(done, 2, "session_cleanup_", "python manage.py migrate --database default")


@pytest.mark.postgres
def test_missing_tables_on_postgresql():
    done = manage("cleanup_sessions", database=url_beside("postgres"))

    assert_refused(done, 2, "session_cleanup_", "python manage.py migrate --database default")


@pytest.mark.once
@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["--stats"]])
@pytest.mark.parametrize(
    "url", ["postgres://nobody@/nothing?host=/tmp/no-such-socket", "sqlite:////no/such/dir/db"]
)
def test_a_database_that_is_down(url, arguments):
    done = manage("cleanup_sessions", *arguments, database=url)

    assert_refused(done, 1, "The database 'default' does not answer", "Nothing was touched.")


@pytest.mark.once
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SESSION_CLEANUP_HOURS", "0", "must be a whole number from 1 to 168"),
        ("SESSION_CLEANUP_HOURS", "-5", "must be a whole number from 1 to 168"),
        ("SESSION_CLEANUP_HOURS", "abc", "SESSION_CLEANUP_HOURS"),
        ("SESSION_CLEANUP_ENDED_DAYS", "99999", "must be a whole number from 1 to 3650"),
    ],
)
def test_a_variable_of_the_example_project_that_is_wrong(variable, value, words):
    done = manage(
        "cleanup_sessions",
        settings="example_project.settings",
        SECRET_KEY="x",
        **{variable: value},
    )

    assert_refused(done, 2, variable, words)


@pytest.fixture
def broken_project(tmp_path):
    """Settings of a project of which one app has a cleanup_policies module that raises."""
    app = tmp_path / "broken_app"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "cleanup_policies.py").write_text("raise ZeroDivisionError('on purpose')\n")
    (tmp_path / "broken_settings.py").write_text(
        textwrap.dedent(
            """
            from tests.settings import *
            INSTALLED_APPS = [*INSTALLED_APPS, "broken_app"]
            """
        )
    )
    return {"settings": "broken_settings", "PYTHONPATH": str(tmp_path)}


@pytest.mark.django_db(transaction=True)
def test_a_policy_module_that_raises_refuses_every_run_and_nothing_is_lost(broken_project):
    PresentationFactory(created_at=NOW - 30 * DAY)

    done = manage("cleanup_sessions", database=url_of_test_database(), **broken_project)

    assert_refused(done, 2, "broken_app.cleanup_policies", "ZeroDivisionError: on purpose")
    assert Session.objects.count() == 1
    assert not CleanupRun.objects.exists()


def test_a_policy_module_that_raises_lets_the_site_start(broken_project):
    code = "import django; django.setup(); print('started')"

    done = manage("shell", "--no-imports", "-c", code, **broken_project)

    assert "started" in done.stdout, done.stderr


@pytest.mark.django_db(transaction=True)
def test_the_same_process_with_good_input_works():
    """So that the refusals above are not all due to something else."""
    PresentationFactory(created_at=NOW - 30 * DAY)

    done = manage("cleanup_sessions", "--format=json", database=url_of_test_database())

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["status"] == "ok"
    assert [job["changed"] for job in report["jobs"] if job["name"] == "presentations-blank"] == [1]
    assert not Session.objects.exists()
