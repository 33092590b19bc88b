"""Settings of the tests. tests.plugins.database has set DATABASE_URL before they are read."""

from typing import Any

import environ

env = environ.Env()


def test_database(name: str) -> dict[str, Any]:
    """The database of DATABASE_URL; `name` is added to its name, so that a run has two of them."""
    database: dict[str, Any] = env.db("DATABASE_URL", default="sqlite:///db.sqlite3")
    database["NAME"] = f"{database['NAME']}{name}"
    if database["ENGINE"].endswith("sqlite3"):
        # A file: threads and child processes must see the same rows.
        database["TEST"] = {"NAME": f"{database['NAME']}.test"}
        database["OPTIONS"] = {"init_command": "PRAGMA synchronous=OFF", "timeout": 10}
    return database


DATABASES = {"default": test_database(""), "other": test_database("_other")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SECRET_KEY = "only for tests"
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "session_cleanup",
    "tests.testapp",
    "tests.graphs",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

SESSION_CLEANUP_PRESETS = ["presentations", "collaborative", "after_hours", "browser", "recurring"]
SESSION_CLEANUP_ENDED_DAYS = 7
# The suite holds for either walk; the tables of a test are too small to choose the one along the heap.
SESSION_CLEANUP_WALK = env("TEST_WALK", default="auto")
