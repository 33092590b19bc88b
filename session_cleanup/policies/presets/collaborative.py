"""Collaborative sessions that expired after days without activity; their members go offline."""

from django.db.models import Q

from session_cleanup.policies.actions import RUN_CLOCK, Deactivate
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.selections import Aged


def policies() -> list[Policy]:
    return [
        Policy(
            name="collaborative-expired",
            model="session_cleanup.Session",
            where=Q(kind="collaborative", is_active=True),
            select=Aged("expires_at"),
            action=Deactivate(
                stamp={"ended_at": RUN_CLOCK, "end_reason": "expired", "updated_at": RUN_CLOCK},
                related={"members": {"is_online": False}},
            ),
            cron="0 2 * * *",
            columns=("title",),
            preset="collaborative",
        ),
    ]
