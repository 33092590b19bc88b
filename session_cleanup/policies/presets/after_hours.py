"""After-hours sessions: close the expired, delete old declines, and what refers to nothing any more."""

from datetime import timedelta

from django.db.models import F, Q

from session_cleanup.conf import conf
from session_cleanup.policies.actions import RUN_CLOCK, Close, Delete
from session_cleanup.policies.policy import Policy, kept_for
from session_cleanup.policies.selections import Aged, Orphaned

CRON = "0 4 * * *"


def policies() -> list[Policy]:
    jobs = [
        Policy(
            name="after-hours-close",
            counter="expired_sessions_closed",
            model="session_cleanup.Session",
            where=Q(kind="after_hours", ended_at__isnull=True),
            select=Aged("expires_at"),
            action=Close(
                ended_at=F("expires_at"), is_active=False, end_reason="expired", updated_at=RUN_CLOCK
            ),
            cron=CRON,
            columns=("title",),
            preset="after_hours",
        ),
        Policy(
            name="after-hours-declines",
            counter="old_declines_deleted",
            model="session_cleanup.SessionDecline",
            select=Aged("last_declined_at", older_than=timedelta(days=conf.DECLINE_DAYS)),
            action=Delete(),
            undo=kept_for(),
            cron=CRON,
            preset="after_hours",
        ),
        Policy(
            name="after-hours-fingerprints",
            counter="orphaned_fingerprints_deleted",
            model="session_cleanup.DeviceFingerprint",
            select=Orphaned("session"),
            action=Delete(),
            undo=kept_for(),
            cron=CRON,
            preset="after_hours",
        ),
        Policy(
            name="after-hours-profiles",
            counter="orphaned_profiles_deleted",
            model="session_cleanup.SessionProfile",
            select=Orphaned("user"),
            action=Delete(),
            undo=kept_for(),
            cron=CRON,
            preset="after_hours",
        ),
    ]
    if conf.ENDED_DAYS is not None:
        jobs.append(
            Policy(
                name="after-hours-ended",
                model="session_cleanup.Session",
                where=Q(kind="after_hours", ended_at__isnull=False),
                select=Aged("ended_at", older_than=timedelta(days=conf.ENDED_DAYS)),
                action=Delete(),
                undo=kept_for(),
                cron=CRON,
                columns=("title",),
                preset="after_hours",
            )
        )
    return jobs
