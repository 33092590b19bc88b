"""Servers for one test: a PostgreSQL that may be restarted, and a pooler before the usual one."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import environ
import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, connections

from tests.faults.children import until
from tests.plugins.postgres import OPTIONS, Server, account

PLACE = ("NAME", "HOST", "PORT", "USER", "PASSWORD", "OPTIONS")
TEMPLATE = "migrated"
POOLER = """
[databases]
* = {upstream}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
max_client_conn = 50
query_wait_timeout = 20
ignore_startup_parameters = extra_float_digits
"""


@contextmanager
def database_at(url: str) -> Iterator[None]:
    """Make the default database, of this process and of its children, the one at `url`."""
    here = connections.settings["default"]
    before, before_url = {name: here[name] for name in PLACE}, os.environ["DATABASE_URL"]
    there = environ.Env.db_url_config(url)
    connection.close()
    here.update({name: there.get(name, "") for name in PLACE} | {"OPTIONS": there.get("OPTIONS", {})})
    os.environ["DATABASE_URL"] = url
    try:
        yield
    finally:
        connection.close()
        here.update(before)
        os.environ["DATABASE_URL"] = before_url


@contextmanager
def own_server() -> Iterator[Server]:
    """A server with a database of all our tables, to be used as a template."""
    server = Server.start(OPTIONS | {"synchronous_commit": "on"})  # as servers are that somebody relies on
    try:
        administer(server, f"CREATE DATABASE {TEMPLATE}")
        with database_at(url_of(server, TEMPLATE)):
            call_command("migrate", verbosity=0, run_syncdb=True)
        yield server
    finally:
        server.stop()


@contextmanager
def own_database(server: Server) -> Iterator[Server]:
    """The default database is a fresh one on this server, until the block ends."""
    administer(server, f"CREATE DATABASE faults TEMPLATE {TEMPLATE}")
    with database_at(url_of(server, "faults")):
        yield server
    administer(server, "DROP DATABASE faults WITH (FORCE)")


def url_of(server: Server, name: str) -> str:
    return server.url.replace("/session_cleanup?", f"/{name}?")


def administer(server: Server, *statements: str) -> None:
    bounds = "-c statement_timeout=20s -c synchronous_commit=local"  # waits for nobody, whatever a test did
    target = f"host={server.directory} user=postgres dbname=postgres"
    with psycopg.connect(target, autocommit=True, options=bounds) as administrator:
        for statement in statements:
            administrator.execute(statement)  # type: ignore[arg-type]


@contextmanager
def pooler() -> Iterator[str]:
    """A pgbouncer in transaction mode with two connections to the test database; the URL to reach it."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("needs pgbouncer (Debian: apt-get install pgbouncer)")
    params: dict[str, Any] = connection.get_connection_params()  # type: ignore[attr-defined]
    known = {key: params[key] for key in ("host", "port", "user", "password") if params.get(key)}
    port = free_port()
    user = account()
    with tempfile.TemporaryDirectory(prefix="pooler-", dir="/tmp") as folder:
        config = Path(folder) / "pgbouncer.ini"
        upstream = " ".join(f"{key}={value}" for key, value in known.items())
        config.write_text(POOLER.format(upstream=upstream, port=port))
        user.take(Path(folder))
        process = subprocess.Popen(
            [program, "--quiet", str(config)], cwd=folder, stderr=subprocess.DEVNULL, **user.popen_options()
        )
        try:
            until(lambda: answers(port), "the start of pgbouncer")
            yield f"postgres://{known.get('user', 'postgres')}@127.0.0.1:{port}/{params['dbname']}"
        finally:
            process.kill()
            process.wait(20)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        port: int = found.getsockname()[1]
        return port


def answers(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
        return True
    return False
