from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from session_cleanup.engine.report import RunReport
from session_cleanup.policies.presets import LIBRARIES

HOUR = timedelta(hours=1)


@pytest.fixture
def on(settings: Any) -> Callable[..., None]:
    """on("axes", …): these presets are on; the test is skipped where a library is missing."""

    def on(*presets: str) -> None:
        for app in (LIBRARIES[preset].app for preset in presets):
            if not apps.is_installed(app):
                pytest.skip(f"{app} is not installed: pip install session-cleanup[libraries]")
        settings.SESSION_CLEANUP_PRESETS = list(presets)

    return on


@pytest.fixture
def user(db: None) -> Any:
    return get_user_model().objects.create(username="anna")


@pytest.fixture
def aged() -> Callable[..., Any]:
    """aged("axes.AccessLog", "attempt_time", age, …): a row whose clock lies that long ago."""

    def aged(label: str, clock: str, age: timedelta, **values: Any) -> Any:
        row = apps.get_model(label)._base_manager.create(**values)
        type(row)._base_manager.filter(pk=row.pk).update(**{clock: timezone.now() - age})
        return row

    return aged


@pytest.fixture
def same(run: Callable[..., RunReport]) -> Callable[..., int]:
    """same(labels, their command, …): ours leaves the rows that theirs leaves, as its preview said.

    Theirs is a function or the arguments of a command; it runs first and is taken back. Gives the number
    of rows deleted.
    """

    def left(labels: Iterable[str]) -> dict[str, set[Any]]:
        return {
            label: set(apps.get_model(label)._base_manager.values_list("pk", flat=True)) for label in labels
        }

    def same(labels: Iterable[str], theirs: Callable[[], Any] | list[Any], now: Any = None) -> int:
        before = left(labels)
        with transaction.atomic():
            call_command(*theirs) if isinstance(theirs, list) else theirs()
            expected = left(labels)
            transaction.set_rollback(True)
        assert left(labels) == before

        now = now or timezone.now()
        preview = run(now=now, dry_run=True)
        report = run(now=now)

        assert left(labels) == expected
        assert report.status == "ok"
        assert [(job.name, job.due, job.related) for job in preview.jobs] == [
            (job.name, job.changed, job.related) for job in report.jobs
        ]
        assert not [job.inexact for job in preview.jobs if job.inexact]
        return sum(len(rows) for rows in before.values()) - sum(len(rows) for rows in expected.values())

    return same
