"""When Celery beat starts the jobs of session_cleanup. Made by "cleanup_deploy celery".

Import it into the settings: from .cleanup_schedule import CELERY_BEAT_SCHEDULE, CELERY_IMPORTS. The hours
are UTC, which is Celery's own default: leave CELERY_TIMEZONE alone, or set it to "UTC". One beat and any
number of workers may run: two runs of one job never overlap.
"""

from celery.schedules import crontab

CELERY_IMPORTS = ["session_cleanup.integrations.celery"]
CELERY_BEAT_SCHEDULE = {
    "cleanup-presentations-blank": {
        "task": "session_cleanup.run",
        "schedule": crontab(minute="0", hour="*/6"),
        "args": ["presentations-blank"],
        "options": {"expires": 21600},
    },
    "cleanup-collaborative-expired": {
        "task": "session_cleanup.run",
        "schedule": crontab(minute="0", hour="2"),
        "args": [
            "collaborative-expired",
            "browser-expired",
            "browser-orphaned",
            "browser-excess",
            "browser-invalid",
            "abandoned-carts",
        ],
        "options": {"expires": 86400},
    },
    "cleanup-after-hours-close": {
        "task": "session_cleanup.run",
        "schedule": crontab(minute="0", hour="4"),
        "args": [
            "after-hours-close",
            "after-hours-declines",
            "after-hours-fingerprints",
            "after-hours-profiles",
        ],
        "options": {"expires": 86400},
    },
    "cleanup-browser-compress": {
        "task": "session_cleanup.run",
        "schedule": crontab(minute="0", hour="3", day_of_week="0"),
        "args": [
            "browser-compress",
            "browser-duplicates",
        ],
        "options": {"expires": 86400},
    },
    "cleanup-browser-report": {
        "task": "session_cleanup.run",
        "schedule": crontab(minute="0", hour="4", day_of_month="1"),
        "args": ["browser-report"],
        "options": {"expires": 86400},
    },
    "cleanup-recurring-activate": {
        "task": "session_cleanup.run",
        "schedule": crontab(minute="0"),
        "args": ["recurring-activate"],
        "options": {"expires": 3600},
    },
    "cleanup-recurring-close": {
        "task": "session_cleanup.run",
        "schedule": crontab(minute="*/5"),
        "args": ["recurring-close"],
        "options": {"expires": 300},
    },
    "cleanup-recurring-generate": {
        "task": "session_cleanup.run",
        "schedule": crontab(minute="0", hour="0"),
        "args": ["recurring-generate"],
        "options": {"expires": 86400},
    },
    "cleanup-recurring-archive": {
        "task": "session_cleanup.run",
        "schedule": crontab(minute="30", hour="4"),
        "args": ["recurring-archive"],
        "options": {"expires": 86400},
    },
    "cleanup-housekeeping-history": {
        "task": "session_cleanup.run",
        "schedule": crontab(minute="30", hour="5"),
        "args": [
            "housekeeping-history",
            "housekeeping-undo",
            "housekeeping-undo-sets",
            "housekeeping-reports",
            "housekeeping-occurrences",
        ],
        "options": {"expires": 86400},
    },
}
