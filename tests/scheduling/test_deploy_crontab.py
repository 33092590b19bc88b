"""The rendered crontab, executed by the shell as cron would."""

import grp
import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.scheduling import deploy
from tests.scheduling.examples import crontab_lines, deployment, jobs, render

RECORDER = """
import json, os, sys
record, *arguments = sys.argv[1:]
json.dump([arguments, dict(os.environ), os.getcwd()], open(record, "w"))
print("said by the run")
sys.exit(int(os.environ.get("EXIT", "0")))
"""


@pytest.fixture
def as_cron(project, tmp_path):
    """Execute the first line as cron does: without its five fields, \'\\\\%\' read as \'%\'."""
    python = Path(project["python"])
    python.unlink()
    recorder = shlex.join([sys.executable, "-c", RECORDER, str(tmp_path / "record.json")])
    python.write_text(f'#!/bin/sh\nexec {recorder} "$@"\n')
    python.chmod(0o755)
    Path(project["log_file"]).parent.mkdir()

    def execute(**values):
        line = crontab_lines(**{**project, **values})[0]
        command = line.split(maxsplit=5)[5]
        assert not re.search(r"(?<!\\)%", command)  # cron would take it for the end of the line
        environment = {"HOME": "/", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
        command = command.replace(r"\%", "%")
        done = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, text=True)
        record = tmp_path / "record.json"
        return done, json.loads(record.read_text()) if record.exists() else None

    return execute


def test_a_crontab_line_runs_the_jobs_in_the_project_with_its_environment(as_cron, project):
    Path(project["env_file"]).write_text("SECRET_KEY='a $b & c'\nDEBUG=false\n")

    done, (argv, environment, cwd) = as_cron()

    assert argv == [project["manage"], "cleanup_sessions", "close", "declines"]
    assert cwd == project["project_dir"]
    assert environment["DJANGO_SETTINGS_MODULE"] == "shop.settings"
    assert (environment["SECRET_KEY"], environment["DEBUG"]) == ("a $b & c", "false")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert Path(project["log_file"]).read_text() == "said by the run\n"


def test_a_crontab_line_needs_no_environment_file(as_cron):
    done, (argv, _, _) = as_cron()

    assert argv[1:] == ["cleanup_sessions", "close", "declines"]
    assert done.returncode == 0


@pytest.mark.parametrize(("status", "mailed"), [(1, True), (2, True), (3, False), (4, False), (5, True)])
def test_cron_mails_a_failure_and_nothing_else(as_cron, project, status, mailed):
    Path(project["env_file"]).write_text(f"EXIT={status}\n")

    done, _ = as_cron()

    assert ("cleanup_sessions close failed: see" in done.stdout) is mailed
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("line", "logged"), [("SECRET=a (b\n", "yntax error"), ("A='unended\n", "nterminated")]
)
def test_a_broken_environment_file_is_a_failure_that_is_told(as_cron, project, line, logged):
    Path(project["env_file"]).write_text(line)

    done, record = as_cron()

    assert record is None
    assert "failed" in done.stdout
    assert logged in Path(project["log_file"]).read_text()


def test_a_log_that_cannot_be_written_is_told(as_cron):
    done, record = as_cron(log_file="/nowhere/at/all/cleanup.log")

    assert record is None
    assert "cleanup_sessions close failed" in done.stdout


def test_cron_tells_a_program_of_ones_own(as_cron, project, tmp_path):
    Path(project["env_file"]).write_text("EXIT=1\n")
    program = tmp_path / "tell us"
    program.write_text("#!/bin/sh\necho told about $1\n")
    program.chmod(0o755)

    done, _ = as_cron(on_failure=str(program))

    assert done.stdout == "told about close\n"


def test_a_line_longer_than_cron_reads_is_refused():
    many = {"0 4 * * *": jobs(*(f"a-rather-long-name-of-a-job-{number}" for number in range(30)))}

    with pytest.raises(ConfigurationError, match=r"cron reads 998.*SESSION_CLEANUP_SCHEDULES"):
        render("crontab", timers=many)


def test_the_log_is_rotated_as_its_owner():
    text = render("crontab", user="shop", group="web")["crontab/cleanup-sessions.logrotate"]

    assert '"/var/log/shop/cleanup.log" {' in text
    assert "    su shop web\n    create 640 shop web\n" in text


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="needs logrotate")
def test_logrotate_reads_its_file(tmp_path):
    account = {  # it would become this user, which only root could do for another
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "group": grp.getgrgid(os.getgid()).gr_name,
    }
    files = render("crontab", **account, log_file=str(tmp_path / "a b" / "x.log"))
    (tmp_path / "rotate").write_text(files["crontab/cleanup-sessions.logrotate"])
    (tmp_path / "rotate").chmod(0o644)

    done = subprocess.run(
        ["logrotate", "--debug", "--state", tmp_path / "state", tmp_path / "rotate"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"] + ":/usr/sbin"},
    )

    assert "error:" not in done.stderr
    assert "a b/x.log" in done.stderr


def test_warns_of_a_host_that_is_not_in_utc(monkeypatch):
    monkeypatch.setattr(deploy, "zone_beside_utc", lambda: "Europe/Berlin")

    assert "time zone is Europe/Berlin" in deploy.warnings("crontab", deployment())[0]
    assert deploy.warnings("systemd", deployment()) == []


def test_does_not_warn_of_a_host_in_utc(monkeypatch):
    monkeypatch.setattr(deploy, "zone_beside_utc", lambda: None)

    assert deploy.warnings("crontab", deployment()) == []
