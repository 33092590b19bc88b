"""A small real project. Every setting that differs from place to place comes from the environment.

.env.example names all the variables; a file .env beside it is read where there is one. An empty
variable means its default.
"""

from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

PROJECT = Path(__file__).resolve().parent
BASE_DIR = PROJECT.parent


class Env(environ.Env):
    """An environment where a variable without a value is as good as none."""

    def get_value(self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, **kw: Any) -> Any:
        if self.ENVIRON.get(var) == "" and default is not self.NOTSET:
            return default
        return super().get_value(var, cast=cast, default=default, **kw)

    def value(self, var: str, default: Any) -> Any:
        """True, False or a number if the variable is one, else its text: the app says what is wrong."""
        text = self.str(var, default="").strip()
        known = {"true": True, "on": True, "yes": True, "1": True}
        known |= {"false": False, "off": False, "no": False, "0": False}
        if text == "":
            return default
        if isinstance(default, bool):
            return known.get(text.lower(), text)
        return int(text) if text.isdecimal() else text


env = Env()
if (PROJECT / ".env").is_file():
    env.read_env(PROJECT / ".env")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="known-to-everybody" if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. Set it to a long random text, or DEBUG=true while you develop."
    )
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SESSION_CLEANUP_PRESETS = ["presentations", "collaborative", "after_hours", "browser", "recurring"]
SESSION_CLEANUP_ENABLED = env.value("SESSION_CLEANUP_ENABLED", default=True)
SESSION_CLEANUP_CRON_SECRETS = env.list("CRON_SECRET", default=[])
SESSION_CLEANUP_CRON_ALLOW_GET = env.value("CRON_ALLOW_GET", default=False)
SESSION_CLEANUP_HOURS = env.value("SESSION_CLEANUP_HOURS", default=24)
SESSION_CLEANUP_INACTIVITY_DAYS = env.value("SESSION_CLEANUP_INACTIVITY_DAYS", default=7)
SESSION_CLEANUP_COMPRESS_DAYS = env.value("COMPRESSION_AFTER_DAYS", default=7)
SESSION_CLEANUP_DECLINE_DAYS = env.value("SESSION_CLEANUP_DECLINE_DAYS", default=7)
SESSION_CLEANUP_ENDED_DAYS = env.value("SESSION_CLEANUP_ENDED_DAYS", default=None)
SESSION_CLEANUP_EXPIRY_DAYS = env.value("SESSION_EXPIRY_DAYS", default=30)
SESSION_CLEANUP_MAX_PER_HOLDER = env.value("MAX_SESSIONS_PER_LEAD", default=10)
SESSION_CLEANUP_HOLDER_MODEL = "shop.Lead"
SESSION_CLEANUP_HORIZON_DAYS = env.value("SESSION_CLEANUP_HORIZON_DAYS", default=30)
SESSION_CLEANUP_ARCHIVE_DAYS = env.value("SESSION_CLEANUP_ARCHIVE_DAYS", default=90)
SESSION_CLEANUP_HISTORY_DAYS = env.value("SESSION_CLEANUP_HISTORY_DAYS", default=90)
SESSION_CLEANUP_UNDO_DAYS = env.value("SESSION_CLEANUP_UNDO_DAYS", default=30)
SESSION_CLEANUP_UNDO_KEYS = env.list("SESSION_CLEANUP_UNDO_KEYS", default=[])
SESSION_CLEANUP_REPORT_DAYS = env.value("ANALYTICS_RETENTION_DAYS", default=90)
SESSION_CLEANUP_OCCURRENCE_LOG_DAYS = env.value("SESSION_CLEANUP_OCCURRENCE_LOG_DAYS", default=730)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "session_cleanup",
    "example_project.shop",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "style": "{",
            "format": "time={asctime} level={levelname} logger={name} {message}",
            "datefmt": "%Y-%m-%dT%H:%M:%SZ",  # Django has set the process to TIME_ZONE: UTC
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"session_cleanup": {"level": env.str("LOG_LEVEL", default="INFO")}},
}
