"""Chooses the database of a test run, before pytest-django reads the settings.

TEST_DATABASE=sqlite (the default) makes files in a temporary directory; TEST_DATABASE=postgres
takes the server of DATABASE_URL, or starts one. A DATABASE_URL alone is taken as it is.
The settings, and every process that a test starts, see only DATABASE_URL.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator

import pytest

from tests.plugins.postgres import NoPostgresError, Server

POSTGRES_SCHEMES = ("postgres:", "postgresql:", "pgsql:")


def choose(environment: dict[str, str]) -> str:
    """What to do about DATABASE_URL: "keep" it, or make it with "sqlite" or "postgres".

    Raises pytest.UsageError for a choice that is unknown or contradicts DATABASE_URL.
    """
    url = environment.get("DATABASE_URL", "")
    wanted = environment.get("TEST_DATABASE", "")
    if wanted == "" and url:
        return "keep"
    if wanted in ("", "sqlite"):
        return "sqlite"
    if wanted != "postgres":
        raise pytest.UsageError(f"TEST_DATABASE={wanted}: say sqlite or postgres.")
    if not url:
        return "postgres"
    if url.startswith(POSTGRES_SCHEMES):
        return "keep"
    scheme = url.partition(":")[0]
    raise pytest.UsageError(
        f"TEST_DATABASE=postgres, but DATABASE_URL is for {scheme}: name a PostgreSQL, or unset it."
    )


def provide(choice: str, add_cleanup: Callable[[Callable[[], None]], None]) -> None:
    if choice == "sqlite":
        directory = tempfile.TemporaryDirectory(prefix="session-cleanup-")
        add_cleanup(directory.cleanup)
        os.environ["DATABASE_URL"] = f"sqlite:///{directory.name}/db.sqlite3"
    elif choice == "postgres":
        try:
            server = Server.start()
        except NoPostgresError as error:
            raise pytest.UsageError(str(error)) from error
        add_cleanup(server.stop)
        os.environ["DATABASE_URL"] = server.url


# A wrapper comes before pytest-django's own hook, which is marked to be the first.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    provide(choose(dict(os.environ)), early_config.add_cleanup)
    return (yield)


def pytest_report_header() -> str:
    return f"database: {os.environ['DATABASE_URL'].partition(':')[0]}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ["DATABASE_URL"].startswith(POSTGRES_SCHEMES):
        return
    for item in items:
        if item.get_closest_marker("postgres"):
            item.add_marker(pytest.mark.skip(reason="needs PostgreSQL"))
