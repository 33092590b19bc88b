"""The SQL for pg_cron, run by a server that has the extension."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from session_cleanup.policies import registry
from session_cleanup.scheduling.functions import NAMES
from session_cleanup.scheduling.schedules import timers
from tests.plugins.postgres import OPTIONS, Server
from tests.scheduling.examples import jobs, render

pytestmark = pytest.mark.once  # it starts servers of its own
BINARIES = Path("/usr/lib/postgresql/15/bin")
needs_pg_cron = pytest.mark.skipif(
    not Path("/usr/share/postgresql/15/extension/pg_cron.control").exists(),
    reason="needs pg_cron (package postgresql-15-cron)",
)
ALL = "SELECT jobname, schedule, command, active FROM cron.job ORDER BY jobid"

ROOT = Path(__file__).parents[2]
OVER = """
INSERT INTO session_cleanup_session
       (uid, kind, title, is_active, end_reason, holder_type, settings, has_blank_presentation, has_topic,
        has_user_content, created_at, updated_at, last_activity_at, expires_at)
VALUES (gen_random_uuid(), 'recurring', 'Yoga', true, '', '', '{}', false, false,
        false, now(), now(), now(), now())
"""
CLOSED = """
SELECT trigger, actor, end_state, changed, figures FROM session_cleanup_jobrun
  JOIN session_cleanup_cleanuprun ON session_cleanup_cleanuprun.id = run_id
 WHERE job = 'recurring-close' AND changed > 0
"""


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
def test_psql_runs_the_file_and_what_its_head_says(database, server, migrated, tmp_path):
    path = tmp_path / "cleanup.sql"
    called = registry.select(list(NAMES), None)
    path.write_text(sql({"0 4 * * *": [*jobs("close"), *called]}))
    head = re.findall(r"^-- +(?:\w+ ?\w*) +((?:SELECT|NOTIFY|SHOW).*;)$", path.read_text(), re.MULTILINE)
    head = [line for line in head if "timezone" not in line]
    assert any("unschedule" in line for line in head)

    psql = shutil.which("psql") or str(BINARIES / "psql")
    command = [psql, "-X", "-h", str(server.directory), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "postgres"]
    subprocess.run([*command, "-f", str(path)], check=True, capture_output=True)
    for line in head:
        done = subprocess.run([*command, "-c", line], capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    left = [name for name, *_ in database.execute(ALL)]
    assert left == [f"session-cleanup {job.name}" for job in called]


@pytest.fixture(scope="module")
def migrated(server):
    """The tables of the project, in the database of pg_cron."""
    environment = {"DATABASE_URL": f"postgres://postgres@/postgres?host={server.directory}"}
    command = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
    settings = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": os.environ["PATH"]}
    subprocess.run(command, cwd=ROOT, env=environment | settings, check=True)


@needs_pg_cron
def test_what_can_be_done_without_a_process_is_a_call_and_all_else_a_notification(database, migrated):
    for _ in range(2):
        database.execute(sql(timers()))

    commands = {name: command for name, _, command, _ in database.execute(ALL)}
    calls = {name: command for name, command in commands.items() if not command.startswith("NOTIFY")}
    assert calls == {
        "session-cleanup recurring-activate": "SELECT public.activate_scheduled_sessions()",
        "session-cleanup recurring-close": "SELECT public.auto_close_expired_sessions()",
    }
    assert len(commands) > 10
    paths = "SELECT proconfig FROM pg_proc WHERE proname IN ('{}', '{}')".format(*NAMES.values())
    assert list(database.execute(paths)) == [(["search_path=public, pg_temp"],)] * 2


@needs_pg_cron
@pytest.mark.slow
def test_at_its_minute_the_function_closes_what_is_over(database, migrated):
    database.execute(OVER)
    database.execute(sql({"* * * * *": registry.select(["recurring-close"], None)}))

    deadline = time.monotonic() + 130
    while not (found := database.execute(CLOSED).fetchone()):
        assert time.monotonic() < deadline, list(database.execute("TABLE cron.job_run_details"))
        time.sleep(0.5)

    assert found == ("sql", "postgres", "drained", 1, {"closed": 1})


@needs_pg_cron
@pytest.mark.slow
def test_at_its_minute_the_notification_is_heard(database, server):
    with psycopg.connect(f"host={server.directory} user=postgres dbname=postgres", autocommit=True) as ear:
        ear.execute("LISTEN session_cleanup")
        database.execute(sql({"* * * * *": jobs("close")}))

        [heard] = ear.notifies(timeout=130, stop_after=1)

    assert heard.payload == "close"
