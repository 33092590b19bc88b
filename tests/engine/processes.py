"""Real processes that run cleanup_sessions on the database of the test."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection

ROOT = Path(__file__).parents[2]


def environment(**settings: Any) -> dict[str, str]:
    """What a child needs to see the test's own database; `settings` become SESSION_CLEANUP_*."""
    url, _, query = os.environ["DATABASE_URL"].partition("?")
    name = str(connection.settings_dict["NAME"])
    base = url if connection.vendor == "sqlite" else url.rpartition("/")[0] + "/"
    url = f"sqlite:///{name}" if connection.vendor == "sqlite" else f"{base}{name}?{query}"
    return {
        **os.environ,
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "tests.engine.child_settings",
        "CHILD_SETTINGS": json.dumps(settings),
    }


def start(*arguments: str, command: str = "cleanup_sessions", **settings: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "manage.py", command, *arguments],
        cwd=ROOT,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def dawdling(seconds: int) -> Iterator[None]:
    """PostgreSQL takes so long to change a session. At the end nobody sleeps any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN PERFORM pg_sleep({seconds:d}); RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER dawdle BEFORE UPDATE ON session_cleanup_session "
            "FOR EACH ROW EXECUTE FUNCTION dawdle()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            )
            cursor.execute("DROP TRIGGER dawdle ON session_cleanup_session; DROP FUNCTION dawdle")


def in_pg_sleep() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
        return bool(cursor.fetchone()[0])
