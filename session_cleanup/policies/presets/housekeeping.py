"""Our own tables grow too: the history, the reports, the log, and what can be taken back no more.

Why the log of occurrences may be pruned: edits look into it for what was deleted today or later, by wall
times of a zone that may have changed. That is three days before now at most; an entry that goes is older by
a week than the end of its session.
"""

from datetime import timedelta

from session_cleanup.conf import conf
from session_cleanup.policies.actions import Delete
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.selections import Aged


def policies() -> list[Policy]:
    return [
        Policy(
            name="housekeeping-history",
            model="session_cleanup.CleanupRun",
            select=Aged("started_at", older_than=timedelta(days=conf.HISTORY_DAYS)),
            action=Delete(),
            cron="30 5 * * *",
        ),
        Policy(
            name="housekeeping-undo",
            model="session_cleanup.UndoRecord",
            select=Aged("expires_at"),
            action=Delete(),
            cron="30 5 * * *",
        ),
        Policy(  # a few rows a run; they say for a while that a run can no longer be taken back
            name="housekeeping-undo-sets",
            model="session_cleanup.UndoSet",
            select=Aged("expires_at", older_than=timedelta(days=conf.HISTORY_DAYS)),
            action=Delete(),
            cron="30 5 * * *",
        ),
        Policy(
            name="housekeeping-reports",
            model="session_cleanup.SessionReport",
            select=Aged("created_at", older_than=timedelta(days=conf.REPORT_DAYS)),
            action=Delete(),
            cron="30 5 * * *",
        ),
        Policy(
            name="housekeeping-occurrences",
            model="session_cleanup.OccurrenceLog",
            select=Aged("over_at", older_than=timedelta(days=conf.OCCURRENCE_LOG_DAYS)),
            action=Delete(),
            cron="30 5 * * *",
        ),
    ]
