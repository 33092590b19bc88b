"""Real processes that run cleanup_sessions on the database of the test."""

import json
import os
import subprocess
import sys
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
