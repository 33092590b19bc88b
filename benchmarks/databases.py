"""Where a case is measured: a prepared database, of which every run gets an equal fresh copy.

A copy has the same pages in the same order, the same statistics and the same visibility map, so every
tool begins with the same vacuumed table, after a checkpoint.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg

from benchmarks.cases import Database as Vendor
from tests.plugins.postgres import Server

BASE, PREPARED, COPY = "bench_base", "bench_prepared", "bench_copy"

# A small server's, the same for every tool; all else, fsync too, is PostgreSQL's default.
SETTINGS = {
    "listen_addresses": "",
    "timezone": "UTC",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    # Nothing of these shall fall into one tool's time by chance: each begins after a checkpoint.
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}


class Database(Protocol):
    """What a measurement needs. URLs are for BENCH_DATABASE_URL."""

    roles: tuple[str, ...]  # of benchmarks.writers
    place: str  # where it is, for people

    def base(self) -> str:
        """A new database, for tables without rows; its URL."""

    def prepared(self) -> str:
        """A fresh copy of the base, to be filled; its URL."""

    def copy(self) -> str:
        """A fresh copy of the prepared database; its URL."""

    def execute(self, sql: str) -> list[Any]:
        """Run SQL in the copy; its rows."""

    def says(self) -> dict[str, str]:
        """Its version and the settings that matter."""


class Postgres:
    roles: tuple[str, ...] = ("watch", "random", "aimed")

    def __init__(self, url: str) -> None:
        self.url = self.place = url

    def base(self) -> str:
        return self._create(BASE, "template0")

    def prepared(self) -> str:
        return self._create(PREPARED, BASE)

    def copy(self) -> str:
        return self._create(COPY, PREPARED)

    def execute(self, sql: Any) -> list[Any]:
        return self._execute(self._named(COPY), sql)

    def says(self) -> dict[str, str]:
        version = self._execute(self._named("postgres"), "SHOW server_version")[0][0]
        asked = [*SETTINGS, "fsync", "synchronous_commit", "full_page_writes", "wal_level", "work_mem"]
        shown = {name: self._execute(self._named("postgres"), f"SHOW {name}")[0][0] for name in asked[2:]}
        return {"PostgreSQL": version, **shown}

    def drop(self) -> None:
        for name in (COPY, PREPARED, BASE):
            self._execute(self._named("postgres"), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _named(self, name: str) -> str:
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def _create(self, name: str, template: str) -> str:
        with psycopg.connect(self._named("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
            connection.execute("CHECKPOINT")
        return self._named(name)

    def _execute(self, url: str, sql: Any) -> list[Any]:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []


class Sqlite:
    roles: tuple[str, ...] = ("random",)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = str(folder)

    def base(self) -> str:
        return self._fresh(BASE)

    def prepared(self) -> str:
        return self._copy(BASE, PREPARED)

    def copy(self) -> str:
        return self._copy(PREPARED, COPY)

    def execute(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / COPY, isolation_level=None)) as connection:
            return connection.execute(sql).fetchall()

    def says(self) -> dict[str, str]:
        return {"SQLite": sqlite3.sqlite_version, "journal_mode": "wal", "synchronous": "normal"}

    def _copy(self, old: str, new: str) -> str:
        url = self._fresh(new)
        shutil.copyfile(self.folder / old, self.folder / new)
        with (self.folder / new).open("rb") as file:
            os.fsync(file.fileno())
        return url

    def _fresh(self, name: str) -> str:
        for suffix in ("", "-wal", "-shm"):
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)
        return f"sqlite:///{self.folder / name}"


@contextmanager
def database(vendor: Vendor) -> Iterator[Database]:
    """A server of our own, or that of BENCH_DATABASE_URL; what was made there is removed at the end."""
    if vendor == "sqlite":
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            yield Sqlite(Path(folder))
    elif url := os.environ.get("BENCH_DATABASE_URL"):
        given = Postgres(url)
        try:
            yield given
        finally:
            given.drop()
    else:
        server = Server.start(SETTINGS)
        try:
            yield Postgres(server.url)
        finally:
            server.stop()
