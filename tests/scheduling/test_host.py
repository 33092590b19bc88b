"""What is read from the project and the host, so that few options are needed."""

import sys
import zoneinfo
from pathlib import Path

import pytest

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.scheduling import host

SQLITE = "django.db.backends.sqlite3"
ZONES = next((Path(path) for path in zoneinfo.TZPATH if Path(path, "Europe/Berlin").exists()), None)


@pytest.mark.parametrize(
    ("name", "directories"),
    [
        ("/home/alice/data/db.sqlite3", ["/home/alice/data"]),
        (Path("/home/alice/db.sqlite3"), ["/home/alice"]),
        ("db.sqlite3", ["/home/alice/shop"]),
        ("file:/home/alice/db.sqlite3?cache=shared", ["/home/alice"]),
        (":memory:", []),
        ("file:name?mode=memory", []),
        ("", []),
    ],
)
def test_sqlite_needs_the_directory_of_its_file(name, directories):
    databases = [
        {"ENGINE": SQLITE, "NAME": name},
        {"ENGINE": "x.postgresql", "NAME": "/not/a/file"},
    ]

    assert list(host.sqlite_directories(databases, "/home/alice/shop")) == directories


def test_a_log_file_of_the_project_needs_its_directory():
    logging = {"handlers": {"file": {"filename": "/srv/shop/logs/a.log"}, "stderr": {}}}

    assert list(host.log_directories(logging)) == ["/srv/shop/logs"]


def test_without_options_the_running_project_is_meant(monkeypatch, tmp_path, settings):
    (tmp_path / "manage.py").touch()
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "manage.py")])
    settings.LOGGING = {}

    found = host.deployment()

    assert found.project_dir == str(tmp_path)
    assert found.manage == str(tmp_path / "manage.py")
    assert found.env_file == str(tmp_path / ".env")
    assert found.python == sys.executable
    assert (found.user, found.group) == ("www-data", "www-data")
    assert sys.base_prefix in found.reads


def test_manage_py_alone_says_where_the_project_is():
    assert host.deployment(manage="/srv/shop/manage.py").project_dir == "/srv/shop"


def test_no_manage_py_anywhere_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/django-admin"])
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigurationError, match="--manage"):
        host.deployment()


@pytest.mark.parametrize(("engine", "network"), [(SQLITE, False), ("django.db.backends.postgresql", True)])
def test_only_sqlite_needs_no_network(monkeypatch, engine, network):
    databases = {"default": {"ENGINE": engine, "NAME": "shop"}}
    monkeypatch.setattr(host.settings, "DATABASES", databases)

    assert host.deployment(project_dir="/srv/shop").network is network


def test_an_unknown_account_is_taken_to_have_a_group_of_its_name():
    assert host.group_of("nobody-of-this-host") == "nobody-of-this-host"
    assert host.group_of("root") == "root"


@pytest.mark.skipif(ZONES is None, reason="needs the host's time zone files (package tzdata)")
@pytest.mark.parametrize(
    ("zone", "expected"),
    [("Europe/Berlin", "Europe/Berlin"), ("Europe/London", "Europe/London"), ("Etc/UTC", None)],
)
def test_the_hosts_own_zone_is_read_whatever_django_has_set(monkeypatch, tmp_path, zone, expected):
    assert ZONES is not None
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    (tmp_path / "localtime").symlink_to(ZONES / zone)

    assert host.zone_beside_utc(tmp_path / "localtime") == expected


def test_a_host_without_a_zone_runs_in_utc(tmp_path):
    assert host.zone_beside_utc(tmp_path / "localtime") is None
