"""Browser sessions, and fixtures: the figures of December 2025 as they stand at NOW (4 January 2026)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from session_cleanup.analytics.metrics import measure
from session_cleanup.analytics.months import Month
from session_cleanup.analytics.report import make
from session_cleanup.models import CleanupRun, JobRun, Session, SessionReport
from session_cleanup.models.sessions import VERDICT
from tests.factories import NOW, SessionFactory

HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e"  # a script, a command to terminals, a change of direction
DECEMBER = Month.parse("2025-12")


def at(text: str) -> datetime:
    """A moment in UTC, such as at("12-31 23:59")."""
    year = 2026 if text.startswith("01") else 2025
    return datetime.fromisoformat(f"{year}-{text}").replace(tzinfo=UTC)


def browser(count: int = 1, **values: Any) -> list[Any]:
    """Sessions of one holder; of another one where it is said. Of the payload only that is known which is
    said, and that it is valid."""
    values = {"kind": "browser", "holder": "lead-1", "holder_type": "lead", "payload_valid": True, **values}
    rows = SessionFactory.create_batch(count, **values)
    known = {name: values.get(name) for name in VERDICT}
    Session._base_manager.filter(pk__in=[row.pk for row in rows]).update(**known)
    return rows


@pytest.fixture
def figures(db: None, settings: Any) -> Callable[..., Any]:
    """figures("scores", now=NOW): a part of the figures of December."""
    settings.SESSION_CLEANUP_PRESETS = ["browser"]

    def figures(part: str, now: datetime = NOW) -> Any:
        return measure("default", DECEMBER, now)[part]  # type: ignore[literal-required]

    return figures


@pytest.fixture
def ran(db: None) -> Callable[..., None]:
    """ran(at, changed=…): a run of a job in the history."""

    def ran(moment: datetime, job: str = "browser-expired", **values: Any) -> None:
        run = CleanupRun.objects.create(trigger="test", host="", pid=1, started_at=moment)
        known = {"model": "session_cleanup.Session", "database": "default", "action": "delete"}
        JobRun.objects.create(run=run, job=job, **{**known, "end_state": "drained", **values})

    return ran


@pytest.fixture
def stored(db: None) -> Callable[..., SessionReport]:
    """stored("2025-12", metrics): a report that was made before."""

    def stored(month: str, metrics: Any, recommendations: Any = ()) -> SessionReport:
        first = Month.parse(month).first
        return SessionReport.objects.create(
            month=first, created_at=NOW, metrics=metrics, recommendations=list(recommendations)
        )

    return stored


@pytest.fixture
def document(figures: Any) -> Any:
    """A whole report, with hostile names in it."""
    browser(2, holder=HOSTILE, last_activity_at=NOW - timedelta(days=8), created_at=NOW - timedelta(days=9))
    browser(holder='=HYPERLINK("x")', last_activity_at=NOW - timedelta(days=8))
    browser(holder_type="</td><script>", payload={"cookies": [{"name": "sid", "value": "MARKER-COOKIE"}]})
    return make("default", DECEMBER, NOW)
