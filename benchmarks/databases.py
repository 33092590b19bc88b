"""Where a case is measured: a prepared database, of which every run gets an equal fresh copy."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import psycopg

PREPARED, COPY = "bench_prepared", "bench_copy"

# Those of a small server, the same for every tool. fsync and the rest are PostgreSQL's own defaults.
SETTINGS = {
    "listen_addresses": "",
    "timezone": "UTC",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",  # none in the middle of somebody's time: each run begins after one
    "autovacuum": "off",  # for the same reason
}


class Postgres:
    """A server; `copy` has CREATE DATABASE copy the files of the prepared database, vacuumed as they are."""

    vendor = "postgresql"
    now = "now()"

    def __init__(self, url: str) -> None:
        self.url = url

    def named(self, name: str) -> str:
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def connect(self, name: str, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.named(name), autocommit=True, **options)

    def prepared(self) -> str:
        """An empty database to prepare."""
        self._create(PREPARED, "template0")
        return self.named(PREPARED)

    def copy(self) -> str:
        self._create(COPY, PREPARED)
        return self.named(COPY)

    def drop(self) -> None:
        with self.connect("postgres") as connection:
            for name in (COPY, PREPARED):
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def query(self, sql: str, name: str = COPY) -> list[Any]:
        with self.connect(name) as connection:
            return connection.execute(sql).fetchall()  # type: ignore[call-overload]

    def _create(self, name: str, template: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
            connection.execute("CHECKPOINT")
