"""`python manage.py …` as a process of its own, as cron and people start it."""

import os
import subprocess
import sys
from pathlib import Path

from django.db import connection

ROOT = Path(__file__).resolve().parents[2]


def manage(*arguments, database=None, settings="tests.settings", **environment):
    """Run it to its end; `database` is a DATABASE_URL, else that of the tests before them."""
    environment = {"DJANGO_SETTINGS_MODULE": settings, **environment}
    if database is not None:
        environment["DATABASE_URL"] = database
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def url_of_test_database():
    """The DATABASE_URL under which another process finds the rows of a transactional test."""
    name = str(connection.settings_dict["NAME"])
    return f"sqlite:///{name}" if connection.vendor == "sqlite" else url_beside(name)


def url_beside(name):
    """The DATABASE_URL of another database in the same PostgreSQL."""
    url, _, query = os.environ["DATABASE_URL"].partition("?")
    return f"{url.rpartition('/')[0]}/{name}?{query}"


def assert_refused(done, status, *words):
    """One clear line on stderr, nothing on stdout, and the right status."""
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr
