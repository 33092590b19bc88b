"""Settings of the tests of the presets for libraries: those libraries that are installed.

They have a run of their own, since some of them connect receivers to every model there is.
"""

from importlib.util import find_spec

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES as BOTH
from tests.settings import INSTALLED_APPS as APPS
from tests.settings import MIDDLEWARE as LAYERS

DATABASES = {"default": BOTH["default"]}
SESSION_CLEANUP_PRESETS = []

WANTED = [
    "oauth2_provider",
    "rest_framework_simplejwt.token_blacklist",
    "axes",
    "allauth",
    "allauth.account",
    "allauth.usersessions",
    "django_tasks_db",
    "django_celery_results",
    "simple_history",
    "reversion",
    "auditlog",
    "easyaudit",
]
if not (find_spec("django.tasks") or find_spec("django_tasks")):
    WANTED.remove("django_tasks_db")
INSTALLED_APPS = [*APPS, *(app for app in WANTED if find_spec(app.partition(".")[0])), "tests.libraries"]
MIDDLEWARE = list(LAYERS)
if "allauth" in INSTALLED_APPS:
    MIDDLEWARE.append("allauth.account.middleware.AccountMiddleware")

DJANGO_EASY_AUDIT_WATCH_MODEL_EVENTS = False  # its receivers would make every preview uncertain
OAUTH2_PROVIDER = {"REFRESH_TOKEN_EXPIRE_SECONDS": 30 * 86400, "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 3600}
TASKS = {
    "default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": []},
    "other": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": []},
}
