"""Browser sessions that nobody changes any more: their payloads are packed, whole and reversibly."""

from datetime import timedelta

from django.db.models import Q

from session_cleanup.conf import conf
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.rewrites import Compress
from session_cleanup.policies.selections import Aged


def compress() -> Policy:
    return Policy(
        name="browser-compress",
        model="session_cleanup.Session",
        where=Q(kind="browser"),
        select=Aged("created_at", older_than=timedelta(days=conf.COMPRESS_DAYS)),
        action=Compress("payload", codec=conf.COMPRESS_CODEC),
        group="weekly",
        columns=("title",),
        preset="browser",
    )
