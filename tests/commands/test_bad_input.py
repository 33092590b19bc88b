"""Bad input: one clear line on stderr, its exit status, and nothing is touched."""

import json
import textwrap

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from session_cleanup.models import CleanupRun, Session
from session_cleanup.policies import registry
from tests.commands.manage import assert_refused, manage, url_beside, url_of_test_database
from tests.factories import DAY, NOW, PresentationFactory

RANGES = {
    "--max-age": (1, 8760),
    "--days": (1, 365),
    "--batch-size": (1, 10_000),
    "--max-rows": (1, 10**12),
    "--max-seconds": (1, 604_800),
}
# No database mark: pytest-django fails a test that opens a connection, so all of this is refused
# before the first one.


def refusal(*arguments, **options):
    with pytest.raises(CommandError) as refused:
        call_command("cleanup_sessions", *arguments, **options)
    assert refused.value.returncode == 2
    return str(refused.value)


OUT_OF_RANGE = [
    (option, str(value))
    for option, (low, high) in RANGES.items()
    for value in (low - 1, -1, high + 1, 10**30, "1.5", "1e3", "ten", "", "nan", "0x10", "1_0")
]


@pytest.mark.parametrize(("option", "value"), OUT_OF_RANGE)
def test_a_number_out_of_range_or_of_the_wrong_type(option, value):
    low, high = RANGES[option]

    assert refusal(f"{option}={value}").startswith(f"{option} is ")
    assert f"Give a whole number from {low:,} to {high:,}." in refusal(f"{option}={value}")


@pytest.mark.parametrize("option", RANGES)
@pytest.mark.parametrize("value", [0, -1, 1.5, 24.0, True, "x", [1], 10**13])
def test_the_same_from_python(option, value):
    name = option.removeprefix("--").replace("-", "_")

    assert refusal(**{name: value}).startswith(f"{option} is ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["colaborative-expired"], "'colaborative-expired'. Did you mean 'collaborative-expired'?"),
        (["collaborative-expired", "zzz"], "There is no job 'zzz'. See cleanup_sessions --list."),
        ([""], "There is no job ''."),
        (["daily"], "'daily' is a group, not a job. Say --type daily."),
        (["--type", "dayly"], "There is no group 'dayly'. Did you mean 'daily'?"),
        (["--type", ""], "There is no group ''."),
        (["--type", "frequent"], "No job is in the group 'frequent'."),
        (["--type", "presentations-blank"], "There is no group 'presentations-blank'."),
        (["--database", "defualt"], "There is no database 'defualt'. Did you mean 'default'?"),
        (["--database", ""], "There is no database ''."),
        (["--days", "3"], "takes --days"),
        (["collaborative-expired", "--max-age", "3"], "None of the jobs of this run"),
    ],
)
def test_an_unknown_name(arguments, message):
    assert message in refusal(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collaborative-expired", "--type", "daily"], "Job names and --type exclude each other"),
        (["--max-age", "3", "--days", "3"], "--max-age and --days exclude each other"),
        (["--list", "--stats"], "--list shows something and runs nothing"),
        *(
            ([show, f"{option}=3"], f"{show} shows something and runs nothing, so it does not go")
            for show in ("--list", "--stats")
            for option in RANGES
        ),
        (["--list", "--dry-run"], "does not go with --dry-run"),
        (["--stats", "--dry-run"], "does not go with --dry-run"),
    ],
)
def test_options_that_contradict_each_other(arguments, message):
    assert message in refusal(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["presentations", "--type", "daily"],
        ["--type", "dayly"],
        ["colaborative"],
        ["--max-age="],
        ["--max-rows", "0"],
        ["--database", "nowhere"],
    ],
)
def test_the_list_checks_its_arguments_too(arguments):
    assert refusal("--list", *arguments)


def test_a_preset_that_is_off(settings):
    settings.SESSION_CLEANUP_PRESETS = ["collaborative"]

    assert "The preset 'presentations' is off" in refusal("presentations")


def test_nothing_registered(declare):
    declare()

    message = refusal()

    assert "SESSION_CLEANUP_PRESETS" in message
    assert "cleanup_policies" in message


def test_a_setting_out_of_range(settings):
    settings.SESSION_CLEANUP_HOURS = 0

    assert "SESSION_CLEANUP_HOURS is 0, but must be a whole number from 1 to 168" in refusal()


def test_a_policy_module_that_raised(monkeypatch):
    monkeypatch.setitem(registry.failures, "shop.cleanup_policies", NameError("no name"))

    assert refusal().startswith("shop.cleanup_policies could not be imported (NameError: no name)")
    assert refusal("--list").startswith("shop.cleanup_policies could not be imported")


# In a process of its own.


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


def test_a_traceback_only_when_it_is_asked_for():
    done = manage("cleanup_sessions", "--max-age", "0", "--traceback")

    assert "Traceback (most recent call last)" in done.stderr
    assert "--max-age is '0'" in done.stderr or "--max-age is 0" in done.stderr
    assert done.returncode != 0


@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["--stats"], ["--format", "json"]])
def test_missing_tables(tmp_path, arguments):
    done = manage("cleanup_sessions", *arguments, database=f"sqlite:///{tmp_path}/empty.sqlite3")

    assert_refused(done, 2, "session_cleanup_", "python manage.py migrate --database default")


@pytest.mark.postgres
def test_missing_tables_on_postgresql():
    done = manage("cleanup_sessions", database=url_beside("postgres"))

    assert_refused(done, 2, "session_cleanup_", "python manage.py migrate --database default")


@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["--stats"]])
@pytest.mark.parametrize(
    "url", ["postgres://nobody@/nothing?host=/tmp/no-such-socket", "sqlite:////no/such/dir/db"]
)
def test_a_database_that_is_down(url, arguments):
    done = manage("cleanup_sessions", *arguments, database=url)

    assert_refused(done, 1, "The database 'default' does not answer", "Nothing was touched.")


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
