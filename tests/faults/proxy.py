"""A proxy on the loopback between a run and PostgreSQL that reads along, and cuts the connection on demand.

It knows as much of the protocol as that: a message is a letter, a length and a body; the first one has no
letter; `Q` carries a statement as text (Django on psycopg sends all of its statements so).
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any
from urllib.parse import quote, urlencode

from django.db import connection

LEASE = b'UPDATE "session_cleanup_cleanuplease"'  # a batch has it in its first statement


class Cut(Enum):
    """When the connection dies, as seen from a statement."""

    BEFORE = "before the server has seen it"
    IN_FLIGHT = "when it was sent, whatever becomes of it"
    UNANSWERED = "when the server has done it, before its answer arrives"


Decide = Callable[[bytes], Cut | None]  # asked about each statement of a batch


def read(source: socket.socket, count: int) -> bytes:
    """Exactly so many bytes; raises ConnectionError at the end."""
    found = b""
    while len(found) < count:
        part = source.recv(count - len(found))
        if not part:
            raise ConnectionError("closed")
        found += part
    return found


class Line:
    """One connection of a client, and ours to the server in its name."""

    def __init__(self, client: socket.socket, server: socket.socket, decide: Decide) -> None:
        self.client, self.server, self.decide = client, server, decide
        self.deaf = False  # the next answer of the server is its last word, and nobody hears it
        self.transaction = self.batch = False

    def run(self) -> None:
        answers = threading.Thread(target=self.pass_answers)
        answers.start()
        with suppress(OSError):
            length = read(self.client, 4)
            self.server.sendall(length + read(self.client, int.from_bytes(length) - 4))
            while self.pass_statement():
                pass
        if not self.deaf:
            self.cut()
        answers.join()
        self.client.close()
        self.server.close()

    def pass_statement(self) -> bool:
        head = read(self.client, 5)
        body = read(self.client, int.from_bytes(head[1:]) - 4)
        cut = self.decide(body) if head[:1] == b"Q" and self.in_batch(body) else None
        self.deaf = cut is Cut.UNANSWERED
        if cut is not Cut.BEFORE:
            self.server.sendall(head + body)
        return cut is None

    def in_batch(self, sql: bytes) -> bool:
        if sql.startswith((b"BEGIN", b"COMMIT", b"ROLLBACK")):
            batch, self.batch = self.batch, False
            self.transaction = sql.startswith(b"BEGIN")
            return batch and commits(sql)
        self.batch = self.batch or (self.transaction and LEASE in sql)
        batch = self.batch
        if commits(sql):
            self.transaction = self.batch = False
        return batch

    def pass_answers(self) -> None:
        with suppress(OSError):
            while (part := self.server.recv(65536)) and not self.deaf:
                self.client.sendall(part)
        self.cut()

    def cut(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def commits(sql: bytes) -> bool:
    """Whether it is a COMMIT, or several statements of which that is the last."""
    return sql.rstrip(b"\0").endswith(b"COMMIT")


class CuttingProxy:
    """Listens on a port of its own until the block ends; `cuts` counts what it did."""

    def __init__(self, decide: Callable[[bytes], Cut | None]) -> None:
        self.decide = decide
        self.cuts: list[tuple[Cut, bytes]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        """For the DATABASE_URL of a child."""
        params: dict[str, Any] = connection.get_connection_params()  # type: ignore[attr-defined]
        account = quote(params.get("user") or "postgres")
        if params.get("password"):
            account += ":" + quote(params["password"])
        port = self.listener.getsockname()[1]
        plain = urlencode({"sslmode": "disable", "gssencmode": "disable"})
        return f"postgres://{account}@127.0.0.1:{port}/{params['dbname']}?{plain}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line = Line(client, server_socket(), self._decide)
                self.threads.append(threading.Thread(target=line.run))
                self.threads[-1].start()

    def _decide(self, sql: bytes) -> Cut | None:
        cut = self.decide(sql)
        if cut is not None:
            self.cuts.append((cut, sql))
        return cut

    def __enter__(self) -> "CuttingProxy":
        self.threads[0].start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the port and wait for the lines: their clients must have ended."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive(), "a line of the proxy hangs"


def server_socket() -> socket.socket:
    """A socket to the server of the test database, as libpq would choose it."""
    params: dict[str, Any] = connection.get_connection_params()  # type: ignore[attr-defined]
    host, port = params.get("host") or "/var/run/postgresql", int(params.get("port") or 5432)
    if not host.startswith("/"):
        return socket.create_connection((host, port), timeout=None)
    found = socket.socket(socket.AF_UNIX)
    found.connect(f"{host}/.s.PGSQL.{port}")
    return found
