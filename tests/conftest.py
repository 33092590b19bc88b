import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunReport, RunRequest
from session_cleanup.policies import registry
from session_cleanup.policies.policy import Policy
from tests.factories import NOW
from tests.reports import document, figures, ran, stored  # noqa: F401 - fixtures

# They have settings of their own: make test-libraries.
collect_ignore = [] if os.environ["DJANGO_SETTINGS_MODULE"] == "tests.libraries.settings" else ["libraries"]


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside the transaction of a test no slice is given up for being slow: SQLite would undo it all.
    And nobody else waits there for the file."""
    if "transactional_db" in request.fixturenames:
        return
    monkeypatch.setattr("session_cleanup.engine.pacing.SLACK", 10_000)
    marker = request.node.get_closest_marker("django_db")
    if "db" in request.fixturenames and not (marker and marker.kwargs.get("transaction")):
        monkeypatch.setattr("session_cleanup.engine.pacing.SQLITE_PAUSE", 0)


@pytest.fixture
def run(db: None) -> Callable[..., RunReport]:
    """run("job", dry_run=True, …): run jobs at NOW and give the report."""

    def run(*jobs: str, now: Any = NOW, **options: Any) -> RunReport:
        return runner.run(RunRequest(jobs=jobs, **options), now=now)

    return run


@pytest.fixture
def preview(run: Callable[..., RunReport]) -> Callable[..., RunReport]:
    def preview(*jobs: str, **options: Any) -> RunReport:
        return run(*jobs, dry_run=True, **options)

    return preview


@pytest.fixture
def declare(settings: Any) -> Iterator[Callable[..., None]]:
    """declare(policy, …): these policies, and no presets, are the project's for this test."""
    settings.SESSION_CLEANUP_PRESETS = []
    before = registry._registered[:]

    def declare(*policies: Policy) -> None:
        registry._registered[:] = policies

    yield declare
    registry._registered[:] = before
