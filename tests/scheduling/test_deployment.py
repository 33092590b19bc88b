"""The values that stand in a rendered file are checked before they get there."""

import re

import pytest

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.scheduling.deployment import shell_surprises
from tests.scheduling.examples import deployment

pytestmark = pytest.mark.once
HOSTILE_PATHS = [
    "",
    "srv/shop",
    "./shop",
    "~/shop",
    "/srv/shop\nExecStart=/bin/sh",
    "/srv/shop\r",
    "/srv/$(reboot)",
    "/srv/`reboot`",
    "/srv/'; reboot; '",
    '/srv/"shop"',
    "/srv/shop\\",
    "/srv/shop;reboot",
    "/srv/shop&",
    "/srv/*",
    "/srv/{{ shop }}",
    "/srv/shop ",
    "/srv/shop/../..",
    "/srv/\0",
    "/srv/#shop",
    "/srv/\u2028shop",
]


@pytest.mark.parametrize("value", HOSTILE_PATHS)
@pytest.mark.parametrize("option", ["project_dir", "manage", "python", "env_file", "log_file", "on_failure"])
def test_a_path_that_would_mean_something_is_refused(option, value):
    with pytest.raises(ConfigurationError, match="--" + option.replace("_", "-")):
        deployment(**{option: value})


@pytest.mark.parametrize("value", ["/srv/my shop (100%)", "/srv/läden/a@b,c+d=e~f:g"])
def test_a_path_with_spaces_and_other_harmless_signs_is_fine(value):
    assert deployment(project_dir=value).project_dir == value


@pytest.mark.parametrize(
    "value",
    ["", "www data", "root\nUser=x", "-u", "1000", "a" * 33, "$USER", "www;data", "%i", "é"],
)
@pytest.mark.parametrize("option", ["user", "group"])
def test_an_account_that_is_none_is_refused(option, value):
    with pytest.raises(ConfigurationError, match=f"--{option} is "):
        deployment(**{option: value})


@pytest.mark.parametrize("value", ["", "shop settings", "shop;settings", "shop.settings\n", "a..b"])
def test_a_settings_module_that_is_none_is_refused(value):
    with pytest.raises(ConfigurationError, match="--settings is "):
        deployment(settings=value)


def test_a_database_directory_with_a_hostile_name_is_refused():
    with pytest.raises(ConfigurationError, match="directory of a database"):
        deployment(writable=("/srv/da\nta",))


@pytest.mark.parametrize("value", ["/var/log/cleanup.log", "/tmp/cleanup.log", "/cleanup.log"])
def test_a_log_needs_a_directory_of_its_own_that_its_user_may_own(value):
    with pytest.raises(ConfigurationError, match="Give it one of its own"):
        deployment(log_file=value)


def test_symbolic_links_are_followed(tmp_path):
    (tmp_path / "python").symlink_to("/home/alice/.pyenv/python")

    assert deployment(python=str(tmp_path / "python")).lies_under("/home")
    assert not deployment(project_dir="/homework").lies_under("/home")


def test_a_line_the_shell_reads_differently_is_named_without_its_value(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text(
        "# settings\n\nDEBUG=false\nDATABASE_URL=postgres://u:p@db:5432/shop\nA='b & $c'\n"
        'B="b c"\nSECRET_KEY=hidden$word\nNAME=my shop\nexport C=1\nD=$(reboot)\nE="$HOME"\n'
        "F='it's'\nG=a#b\n"
    )

    surprises = shell_surprises(str(env_file))

    lines = [int(re.search(r"line (\d+)", text)[1]) for text in surprises]
    assert lines == [7, 8, 9, 10, 11, 12, 13]
    assert "hidden" not in "".join(surprises)


def test_an_environment_file_of_another_host_surprises_nobody(tmp_path):
    assert shell_surprises(str(tmp_path / "none")) == []
