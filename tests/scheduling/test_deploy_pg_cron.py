"""The SQL for pg_cron, run by a server that has the extension."""

import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.plugins.postgres import OPTIONS, Server
from tests.scheduling.examples import jobs, render

BINARIES = Path("/usr/lib/postgresql/15/bin")
needs_pg_cron = pytest.mark.skipif(
    not Path("/usr/share/postgresql/15/extension/pg_cron.control").exists(),
    reason="needs pg_cron (package postgresql-15-cron)",
)
ALL = "SELECT jobname, schedule, command, active FROM cron.job ORDER BY jobid"


def sql(timers):
    return render("pg_cron", timers=timers)["pg_cron/cleanup-sessions.sql"]


@pytest.fixture(scope="module")
def server():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PG_BIN", str(BINARIES))
        options = {
            "shared_preload_libraries": "pg_cron",
            "cron.database_name": "postgres",
            "cron.use_background_workers": "on",  # it has no address to connect to
        }
        server = Server.start({**OPTIONS, **options})
    yield server
    server.stop()


@pytest.fixture
def database(server):
    with psycopg.connect(
        f"host={server.directory} user=postgres dbname=postgres", autocommit=True
    ) as database:
        database.execute("CREATE EXTENSION IF NOT EXISTS pg_cron")
        yield database
        database.execute("SELECT cron.unschedule(jobid) FROM cron.job")


@needs_pg_cron
def test_installing_again_replaces_what_changed_and_removes_what_is_gone(database):
    database.execute("SELECT cron.schedule('somebody else''s', '* * * * *', 'SELECT 1')")
    database.execute(sql({"0 4 * * *": jobs("close", "declines"), "*/5 * * * *": jobs("often")}))
    database.execute(sql({"0 4 * * *": jobs("close", "declines"), "*/5 * * * *": jobs("often")}))
    assert [name for name, *_ in database.execute(ALL)] == [
        "somebody else's",
        "session-cleanup close",
        "session-cleanup declines",
        "session-cleanup often",
    ]

    database.execute(sql({"30 5 1-7 * 0": jobs("close")}))
    assert list(database.execute(ALL))[1:] == [
        ("session-cleanup close", "30 5 1-7 * 0", "NOTIFY session_cleanup, 'close'", True)
    ]


@needs_pg_cron
def test_psql_runs_the_file_and_what_its_head_says(database, server, tmp_path):
    path = tmp_path / "cleanup.sql"
    path.write_text(sql({"0 4 * * *": jobs("close")}))
    head = re.findall(r"^-- +(?:\w+ ?\w*) +((?:SELECT|NOTIFY|SHOW).*;)$", path.read_text(), re.MULTILINE)
    head = [line for line in head if "timezone" not in line]
    assert any("unschedule" in line for line in head)

    psql = shutil.which("psql") or str(BINARIES / "psql")
    command = [psql, "-X", "-h", str(server.directory), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "postgres"]
    subprocess.run([*command, "-f", str(path)], check=True, capture_output=True)
    for line in head:
        done = subprocess.run([*command, "-c", line], capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert list(database.execute(ALL)) == []


@needs_pg_cron
@pytest.mark.slow
def test_at_its_minute_the_notification_is_heard(database, server):
    with psycopg.connect(f"host={server.directory} user=postgres dbname=postgres", autocommit=True) as ear:
        ear.execute("LISTEN session_cleanup")
        database.execute(sql({"* * * * *": jobs("close")}))

        [heard] = ear.notifies(timeout=130, stop_after=1)

    assert heard.payload == "close"
