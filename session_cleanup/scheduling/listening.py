"""PostgreSQL can be the clock: NOTIFY session_cleanup, 'job' starts a job, a preset or a group.

What is said while nobody listens is lost, and a pooler that hands connections out by transaction lets nobody
listen; the scheduler's own hours do not depend on it.
"""

from collections.abc import Iterator
from typing import Any

from django.db import connections

CHANNEL = "session_cleanup"
CONNECT_SECONDS = 10


class Listener:
    """A connection of its own that listens, from the first time it is asked on."""

    def __init__(self, using: str) -> None:
        self.using = using
        self._connection: Any = None

    @classmethod
    def for_database(cls, using: str) -> "Listener | None":
        """None where the database knows nothing of the kind."""
        return cls(using) if connections[using].vendor == "postgresql" else None

    def hear(self, seconds: float) -> list[str]:
        """What was said since it was asked last, at the latest after so many seconds."""
        if self._connection is None:
            self._connect()
        with self._connection.wrap_database_errors:
            return list(self._said(seconds))

    def _said(self, seconds: float) -> Iterator[str]:
        for said in self._connection.connection.notifies(timeout=seconds, stop_after=1):
            yield said.payload

    def _connect(self) -> None:
        connection: Any = connections[self.using].copy()
        connection.settings_dict["OPTIONS"].pop("pool", None)  # it would never be given back
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        self._connection = connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def connect_within(seconds: int = CONNECT_SECONDS) -> None:
    """In this thread, give up connecting after so long, where the project does not say itself how long."""
    for alias in connections:
        connection: Any = connections[alias]
        if connection.vendor == "postgresql":
            options = {"connect_timeout": seconds, **connection.settings_dict.get("OPTIONS", {})}
            connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}
