"""Where and as whom the jobs run on a host: every value that stands in a rendered file."""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from session_cleanup.exceptions import ConfigurationError

# Signs that systemd, the shell, cron and logrotate all take literally once quoted. Anything else in
# a path (quotes, $, backslashes, wildcards, line ends) would mean something to one of them.
PATH = re.compile(r"/[\w .@%+=:,~()/-]*")
ACCOUNT = re.compile(r"[A-Za-z_][\w.-]{0,31}", re.ASCII)
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
IMAGE = re.compile(r"[a-z0-9][\w./:@-]{0,254}", re.ASCII)
SHELL_SAFE = re.compile(r"""\s*(\#.*)?|[A-Za-z_]\w*=([\w./:@%+,=-]*|'[^']*'|"[^"$`\\]*")\s*""", re.ASCII)
SHARED_DIRECTORIES = {
    "/",
    "/etc",
    "/home",
    "/opt",
    "/srv",
    "/tmp",
    "/usr",
    "/var",
    "/var/log",
    "/var/tmp",
}


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A checked set of values; each is named after the option of cleanup_deploy that gives it.

    image      the container image that holds the project
    writable   directories the run writes to: those of SQLite files and of log files
    reads      other places it needs, such as that of the interpreter's own library
    network    whether some database is reached over the network
    """

    project_dir: str
    manage: str
    python: str
    env_file: str
    log_file: str
    user: str
    group: str
    settings: str
    image: str = "app:latest"
    on_failure: str | None = None
    writable: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    network: bool = True

    def __post_init__(self) -> None:
        for option in ("project_dir", "manage", "python", "env_file", "log_file", "on_failure"):
            if (value := getattr(self, option)) is not None:
                check_path("--" + option.replace("_", "-"), value)
        for path in self.writable:
            check_path("The directory of a database or log file of the settings", path)
        check("--user", self.user, ACCOUNT, "the name of an account, such as www-data")
        check("--group", self.group, ACCOUNT, "the name of a group, such as www-data")
        check("--image", self.image, IMAGE, "the name of an image, such as registry.example.com/shop:1.0")
        check("--settings", self.settings, MODULE, "a module, such as shop.settings")
        if os.path.dirname(self.log_file) in SHARED_DIRECTORIES:
            raise ConfigurationError(
                f"--log-file {self.log_file} lies in a directory that others share, and the jobs' "
                "user must own it. Give it one of its own: /var/log/session-cleanup/cleanup.log."
            )

    @property
    def manage_here(self) -> str:
        """manage.py, seen from the directory that the jobs run in."""
        return os.path.relpath(self.manage, self.project_dir)

    def paths(self) -> Iterator[str]:
        """Every place the unit must see, also behind symbolic links (a venv's python is one)."""
        named = (
            self.project_dir,
            self.manage,
            self.python,
            self.env_file,
            *self.writable,
            *self.reads,
        )
        for path in named:
            yield path
            yield os.path.realpath(path)

    def lies_under(self, *tops: str) -> bool:
        return any(f"{path}/".startswith(f"{top}/") for path in self.paths() for top in tops)


def check(option: str, value: str, pattern: re.Pattern[str], wanted: str) -> None:
    if not pattern.fullmatch(value):
        raise ConfigurationError(f"{option} is {value!r}. Give {wanted}.")


def check_path(option: str, value: str) -> None:
    if not value.startswith("/"):
        raise ConfigurationError(f"{option} is {value!r}, which is not absolute. Begin it with '/'.")
    if not PATH.fullmatch(value) or value != value.strip() or ".." in value.split("/"):
        raise ConfigurationError(
            f"{option} is {value!r}. Give a path of letters, digits, spaces and .@%+=:,~()/-_ "
            "only, without '..': other signs have a meaning to systemd, cron or the shell. "
            "A symbolic link with a plain name will do."
        )


def shell_surprises(env_file: str) -> list[str]:
    """The variables of an environment file that a shell would read differently from systemd."""
    try:
        lines = Path(env_file).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []  # not here, or not for us: the crontab is perhaps for another host
    return [
        f"{env_file}, line {number}: the shell would not take this value as it stands. "
        "Write it in single quotes, NAME='value': systemd reads that as well."
        for number, line in enumerate(lines, 1)
        if not SHELL_SAFE.fullmatch(line)
    ]


def crontab_word(value: str) -> str:
    """A word of a command in a crontab: quoted for the shell, and '%' kept from ending the line."""
    return shlex.quote(value).replace("%", r"\%")


def unit_word(value: str) -> str:
    """A word of a systemd unit: quoted, and '%' kept from naming a specifier."""
    escaped = value.replace("%", "%%")
    return f'"{escaped}"' if " " in value else escaped
