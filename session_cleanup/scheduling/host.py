"""What the project's settings and this host say by themselves, so that few options are needed."""

import grp
import os
import pwd
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.scheduling.deployment import Deployment

DEFAULT_LOG = "/var/log/session-cleanup/cleanup.log"


def deployment(
    *,
    project_dir: str | None = None,
    manage: str | None = None,
    python: str | None = None,
    env_file: str | None = None,
    user: str = "www-data",
    group: str | None = None,
    log_file: str = DEFAULT_LOG,
    on_failure: str | None = None,
    image: str = "app:latest",
) -> Deployment:
    """This project on this host, but for what is given."""
    if project_dir is None:
        project_dir = this_project() if manage is None else os.path.dirname(manage)
    of_this_python = [sys.base_prefix, *filter(os.path.isabs, sys.path)] if python is None else []
    databases = settings.DATABASES.values()
    written = [*sqlite_directories(databases, project_dir), *log_directories(settings.LOGGING)]
    return Deployment(
        project_dir=project_dir,
        manage=os.path.join(project_dir, "manage.py") if manage is None else manage,
        python=sys.executable if python is None else python,
        env_file=os.path.join(project_dir, ".env") if env_file is None else env_file,
        user=user,
        group=group_of(user) if group is None else group,
        log_file=log_file,
        on_failure=on_failure,
        image=image,
        settings=os.environ.get("DJANGO_SETTINGS_MODULE", ""),
        writable=tuple(sorted(set(written))),
        reads=(*home_of(user), *of_this_python),
        network=any("sqlite" not in str(database["ENGINE"]) for database in databases),
    )


def this_project() -> str:
    """The directory of the manage.py that is running, or of the one here."""
    for directory in (os.path.dirname(os.path.abspath(sys.argv[0])), os.getcwd()):
        if os.path.isfile(os.path.join(directory, "manage.py")):
            return directory
    raise ConfigurationError(
        f"There is no manage.py in {os.getcwd()}. Run the command through the project's manage.py, "
        "or say where it is: --manage /path/to/manage.py."
    )


def sqlite_directories(databases: Iterable[Mapping[str, Any]], project_dir: str) -> Iterator[str]:
    """SQLite writes its journal beside the database, so it needs the whole directory."""
    for database in databases:
        name = str(database["NAME"]).removeprefix("file:").partition("?")[0]
        in_memory = ":memory:" in name or "mode=memory" in str(database["NAME"])
        if "sqlite" in str(database["ENGINE"]) and name and not in_memory:
            yield os.path.dirname(os.path.realpath(os.path.join(project_dir, name)))


def log_directories(logging: Mapping[str, Any]) -> Iterator[str]:
    """A log file that cannot be opened keeps Django from starting."""
    for handler in logging.get("handlers", {}).values():
        if filename := handler.get("filename"):
            yield os.path.dirname(os.path.realpath(filename))


def group_of(user: str) -> str:
    """The account's own group; on a host that does not know it, the one of the same name."""
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError:
        return user


def home_of(user: str) -> Iterator[str]:
    try:
        yield pwd.getpwnam(user).pw_dir  # libpq reads passwords and certificates there
    except KeyError:
        return


def zone_beside_utc(localtime: Path = Path("/etc/localtime")) -> str | None:
    """The host's time zone where it is not UTC. Not TZ: Django has set that to its own zone."""
    try:
        with localtime.open("rb") as file:
            zone = ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return None  # without this file the host runs in UTC
    days = (datetime(2024, month, 1, tzinfo=zone).utcoffset() for month in (1, 7))
    if all(offset == timedelta(0) for offset in days):
        return None
    return str(localtime.resolve()).partition("zoneinfo/")[2] or "a zone of its own"
