from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from session_cleanup.models import CleanupRun, JobRun
from tests.factories import UserFactory


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """staff("view_stats", …): a client logged in as a member of staff with these permissions."""

    def staff(*codenames: str) -> Client:
        user = UserFactory(is_staff=True)
        permissions = Permission.objects.filter(
            content_type__app_label="session_cleanup", codename__in=codenames
        )
        assert len(permissions) == len(codenames)
        user.user_permissions.set(permissions)
        client = Client()
        client.force_login(user)
        return client

    return staff


@pytest.fixture
def record(db: None) -> Callable[..., CleanupRun]:
    """record("ok", job="drained"): a run of the history, just started, with these job runs."""

    def record(status: str, *, ago: Any = None, jobs: dict[str, str], **fields: Any) -> CleanupRun:
        started = timezone.now() - ago if ago else timezone.now()
        run = CleanupRun.objects.create(
            status=status, started_at=started, trigger="command", host="web-1", pid=1, **fields
        )
        for job, end_state in jobs.items():
            JobRun.objects.create(
                run=run,
                job=job,
                model="session_cleanup.Session",
                database="default",
                action="delete",
                end_state=end_state,
                changed=3,
                heartbeat_at=started,
            )
        return run

    return record
