"""Tables of libraries that everybody has: what a library's own command deletes, in small safe steps.

Why it is safe to turn one on: it deletes what the library itself gives up, by the library's own settings
where it has any; a preset that cannot know them refuses. Models are named by label, and nothing of a
library is imported before its preset is asked for its policies.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module

from django.conf import settings
from django.db.models import Q

from session_cleanup.conf import conf
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.presets import oauth_toolkit
from session_cleanup.policies.presets.library import job
from session_cleanup.policies.selections import Aged, Orphaned

DAY = timedelta(days=1)


def django_sessions() -> list[Policy]:
    return [job("django-sessions", "expired", session_model(), Aged("expire_date"))]


def admin_log() -> list[Policy]:
    return [_kept("admin-log", "entries", "admin.LogEntry", "action_time")]


def simplejwt() -> list[Policy]:
    return [job("simplejwt", "expired", "token_blacklist.OutstandingToken", Aged("expires_at"))]


def axes() -> list[Policy]:
    return [
        _kept("axes", "access-logs", "axes.AccessLog", "attempt_time"),
        _kept("axes", "failure-logs", "axes.AccessFailureLog", "attempt_time"),
    ]


def allauth_usersessions() -> list[Policy]:
    select = Orphaned("session_key", model=session_model())
    return [job("allauth-usersessions", "ended", "usersessions.UserSession", select)]


def tasks_db() -> list[Policy]:
    return [
        _kept("tasks-db", state.lower(), "django_tasks_database.DBTaskResult", "finished_at", Q(status=state))
        for state in ("SUCCESSFUL", "FAILED")
    ]


def celery_results() -> list[Policy]:
    from celery import current_app
    from django_celery_results.backends import DatabaseBackend

    expires = None
    if "celery-results" not in conf.KEEP_DAYS:
        backend = current_app.backend
        if not isinstance(backend, DatabaseBackend):
            raise ConfigurationError(
                "The preset 'celery-results' cannot know result_expires: no Celery app that keeps results in "
                "the database is loaded here. Import yours in the __init__.py of the project, or say "
                'SESSION_CLEANUP_KEEP_DAYS = {"celery-results": 1}.'
            )
        if not backend.expires:
            return []  # results are kept for ever
        expires = timedelta(seconds=backend.expires)
    return [
        _kept("celery-results", name, f"django_celery_results.{model}", "date_done", default=expires)
        for name, model in (("tasks", "TaskResult"), ("groups", "GroupResult"))
    ]


def simple_history() -> list[Policy]:
    from simple_history.models import registered_models

    managers = [
        getattr(model, model._meta.simple_history_manager_attribute)
        for model in registered_models.values()
        if hasattr(model._meta, "simple_history_manager_attribute")
    ]
    labels = sorted({manager.model._meta.label for manager in managers})
    return [
        _kept("simple-history", re.sub(r"[^a-z0-9]+", "-", label.lower()), label, "history_date")
        for label in labels
    ]


def reversion() -> list[Policy]:
    return [_kept("reversion", "revisions", "reversion.Revision", "date_created")]


def auditlog() -> list[Policy]:
    model = getattr(settings, "AUDITLOG_LOGENTRY_MODEL", "auditlog.LogEntry")
    return [_kept("auditlog", "entries", model, "timestamp")]


def easy_audit() -> list[Policy]:
    return [
        _kept("easy-audit", "crud", "easyaudit.CRUDEvent", "datetime"),
        _kept("easy-audit", "logins", "easyaudit.LoginEvent", "datetime"),
        _kept("easy-audit", "requests", "easyaudit.RequestEvent", "datetime"),
    ]


@dataclass(frozen=True)
class Library:
    """A preset for a library. `age` is how long rows are kept, where the library has no setting for it."""

    app: str
    policies: Callable[[], list[Policy]]
    age: timedelta = timedelta(0)


LIBRARIES = {
    "django-sessions": Library("django.contrib.sessions", django_sessions),
    "admin-log": Library("django.contrib.admin", admin_log, 365 * DAY),
    "oauth-toolkit": Library("oauth2_provider", oauth_toolkit.policies),
    "simplejwt": Library("rest_framework_simplejwt.token_blacklist", simplejwt),
    "axes": Library("axes", axes, 30 * DAY),
    "allauth-usersessions": Library("allauth.usersessions", allauth_usersessions),
    "tasks-db": Library("django_tasks_db", tasks_db, 14 * DAY),
    "celery-results": Library("django_celery_results", celery_results),
    "simple-history": Library("simple_history", simple_history, 30 * DAY),
    "reversion": Library("reversion", reversion, 365 * DAY),
    "auditlog": Library("auditlog", auditlog, 365 * DAY),
    "easy-audit": Library("easyaudit", easy_audit, 365 * DAY),
}
# The presets whose age SESSION_CLEANUP_KEEP_DAYS may set, for all their jobs or for one.
KEPT = [name for name, library in LIBRARIES.items() if library.age] + ["celery-results"]


def _kept(
    preset: str, name: str, model: str, clock: str, where: Q | None = None, default: timedelta | None = None
) -> Policy:
    """Rows stay for the days that SESSION_CLEANUP_KEEP_DAYS gives the job or its preset, or the default."""
    found = job(preset, name, model, Aged(clock), where)
    days = conf.KEEP_DAYS.get(found.name) or conf.KEEP_DAYS.get(preset)
    return found.aged(timedelta(days=days) if days else default or LIBRARIES[preset].age)


def session_model() -> str:
    """The model of SESSION_ENGINE. Without one, every user session would seem an orphan."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if not hasattr(store, "get_model_class"):
        raise ConfigurationError(
            f"SESSION_ENGINE is {settings.SESSION_ENGINE!r}, which keeps no sessions in a table. Take the "
            "presets 'django-sessions' and 'allauth-usersessions' out of SESSION_CLEANUP_PRESETS."
        )
    return str(store.get_model_class()._meta.label)
