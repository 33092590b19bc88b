"""Presentations that were created blank when a user connected, and never given a topic or content."""

from datetime import timedelta

from django.db.models import Q

from session_cleanup.conf import conf
from session_cleanup.models.sessions import BLANK
from session_cleanup.policies.actions import Delete
from session_cleanup.policies.policy import Policy, kept_for
from session_cleanup.policies.selections import Aged


def policies() -> list[Policy]:
    return [
        Policy(
            name="presentations-blank",
            model="session_cleanup.Session",
            where=Q(BLANK, kind="presentation"),
            select=Aged("created_at", older_than=timedelta(hours=conf.HOURS)),
            action=Delete(),
            undo=kept_for(),
            cron="0 */6 * * *",
            age_option="max-age",
            columns=("title",),
            by_age=True,
            preset="presentations",
        ),
    ]
