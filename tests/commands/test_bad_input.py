"""Bad input: one clear line on stderr, its exit status, and nothing is touched."""

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from session_cleanup.policies import registry

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


def test_a_group_without_jobs(settings):
    settings.SESSION_CLEANUP_PRESETS = ["collaborative"]

    assert "No job is in the group 'frequent'." in refusal("--type", "frequent")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["colaborative-expired"], "'colaborative-expired'. Did you mean 'collaborative-expired'?"),
        (["collaborative-expired", "zzz"], "There is no job 'zzz'. See cleanup_sessions --list."),
        ([""], "There is no job ''."),
        (["daily"], "'daily' is a group, not a job. Say --type daily."),
        (["--type", "dayly"], "There is no group 'dayly'. Did you mean 'daily'?"),
        (["--type", ""], "There is no group ''."),
        (["--type", "presentations-blank"], "There is no group 'presentations-blank'."),
        (["--database", "defualt"], "There is no database 'defualt'. Did you mean 'default'?"),
        (["--database", ""], "There is no database ''."),
        (["after_hours", "--days", "3"], "takes --days"),
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


@pytest.mark.parametrize("arguments", [[], ["--list"], ["axes"], ["--stats"]])
def test_a_preset_for_a_library_that_is_not_installed(settings, arguments):
    settings.SESSION_CLEANUP_PRESETS = ["collaborative", "axes"]

    assert "names 'axes', but 'axes' is not in INSTALLED_APPS" in refusal(*arguments)


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
