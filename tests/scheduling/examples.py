"""A deployment, a schedule, and systemd's own view of time, for the tests beside."""

import re
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from session_cleanup.policies import Aged, Delete, Policy
from session_cleanup.scheduling import deploy
from session_cleanup.scheduling.deployment import Deployment

BASE = datetime(2026, 2, 27, 23, 58, tzinfo=UTC)  # shortly before midnight and the month's end
SHOWN = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC$", re.MULTILINE)

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (package systemd)"
)


def deployment(**values):
    """A project under /srv, but for what is given."""
    example = {
        "project_dir": "/srv/shop",
        "manage": "/srv/shop/manage.py",
        "python": "/srv/shop/.venv/bin/python",
        "env_file": "/srv/shop/.env",
        "log_file": "/var/log/shop/cleanup.log",
        "user": "www-data",
        "group": "www-data",
        "settings": "shop.settings",
    }
    return Deployment(**{**example, **values})


def jobs(*names):
    return [
        Policy(name=name, model="shop.Cart", select=Aged("updated_at"), action=Delete()) for name in names
    ]


TIMERS = {"0 4 * * *": jobs("close", "declines"), "*/5 * * * *": jobs("often")}


def render(target, job=None, timers=TIMERS, **values):
    return deploy.render(target, deployment(**values), timers, job)


def crontab_lines(**values):
    text = render("crontab", **values)["crontab/cleanup-sessions.crontab"]
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def systemd_times(on_calendar, count):
    """The next times of a timer with these OnCalendar= values, after BASE."""
    done = subprocess.run(
        [
            "systemd-analyze",
            "calendar",
            f"--iterations={count}",
            f"--base-time={BASE:%Y-%m-%d %H:%M:%S} UTC",
            *on_calendar,
        ],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "TZ": "UTC"},
    )
    assert done.stderr == ""
    times = {datetime.fromisoformat(f"{shown}+00:00") for shown in SHOWN.findall(done.stdout)}
    return sorted(times)[:count]
