"""Settings of the benchmarks' own project. Each piece of work sets its database when it begins."""

from importlib.util import find_spec
from typing import Any

from environ import Env


def database(url: str) -> dict[str, Any]:
    found: dict[str, Any] = Env.db_url_config(url)
    if found["ENGINE"].endswith("sqlite3"):
        found["OPTIONS"] = {
            "timeout": 60,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        }
    return found


DATABASES: dict[str, dict[str, Any]] = {"default": {}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "only for benchmarks"
USE_TZ = True
TIME_ZONE = "UTC"

# The extra `bench` installs them; a tool that is missing says so in its results.
PEERS = [name for name in ("oauth2_provider", "dbpurge") if find_spec(name)]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    *PEERS,
    "session_cleanup",
    "benchmarks",
]
# Their tables as their models say: going through all their migrations takes longer than a small case.
MIGRATION_MODULES = {"auth": None, "contenttypes": None, "sessions": None, "oauth2_provider": None}

# db_purge runs all of them; in a case, the other tables are empty.
DB_PURGE_RETENTION_POLICIES = [
    {
        "app_name": app,
        "model_name": model,
        "time_based_column_name": clock,
        "data_retention_num_seconds": 1,
    }
    for app, model, clock in [
        ("benchmarks", "Cart", "expires_at"),
        ("benchmarks", "Order", "expires_at"),
        ("sessions", "Session", "expire_date"),
    ]
]
