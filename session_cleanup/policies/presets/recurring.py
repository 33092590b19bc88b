"""Recurring sessions: their series generate them ahead; they are activated, closed and archived."""

from datetime import timedelta

from django.db.models import Q

from session_cleanup.conf import conf
from session_cleanup.models.sessions import SCHEDULED
from session_cleanup.policies.actions import Archive
from session_cleanup.policies.job import Job, Routine
from session_cleanup.policies.occurrences import Activate, CloseOccurrence
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.selections import Aged


def jobs() -> list[Job]:
    return [
        Policy(
            name="recurring-activate",
            model="session_cleanup.Session",
            where=SCHEDULED,
            select=Aged("visible_at"),
            action=Activate(),
            group="hourly",
            columns=("title",),
            preset="recurring",
        ),
        Policy(
            name="recurring-close",
            model="session_cleanup.Session",
            where=Q(kind="recurring", ended_at__isnull=True),
            select=Aged("expires_at"),
            action=CloseOccurrence(),
            group="frequent",
            columns=("title",),
            preset="recurring",
        ),
        Routine(
            name="recurring-generate",
            model="session_cleanup.Session",
            verb="generated",
            work="session_cleanup.recurrence.generation.Generate",
            options=("series", "days_ahead"),
            cron="0 0 * * *",
            preset="recurring",
        ),
        Policy(
            name="recurring-archive",
            model="session_cleanup.Session",
            where=Q(kind="recurring", ended_at__isnull=False),
            select=Aged("ended_at", older_than=timedelta(days=conf.ARCHIVE_DAYS)),
            action=Archive(),
            cron="30 4 * * *",
            columns=("title",),
            preset="recurring",
        ),
    ]
