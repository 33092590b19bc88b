"""The command: what it prints and writes, and how it refuses."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from session_cleanup.scheduling import deploy

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "deploy"


@pytest.fixture
def cleanup_deploy(capsys, settings):
    settings.SESSION_CLEANUP_PRESETS = ["collaborative"]

    def call(*arguments):
        call_command("cleanup_deploy", *arguments, "--project-dir=/srv/shop")
        return capsys.readouterr()

    return call


def files_below(folder):
    return {
        # Django 6.1 quotes the alias.
        str(path.relative_to(folder)): path.read_bytes().replace(b'"U0"', b"U0")
        for path in folder.rglob("*")
        if path.is_file() and path != EXAMPLES / "README.md"
    }


def test_the_examples_are_what_their_readme_says_renders_them(tmp_path):
    text = (EXAMPLES / "README.md").read_text()
    block = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[-1]
    words = shlex.split(block.replace("\\\n", " "))
    python = words.index("python")
    command = [sys.executable, *words[python + 1 :]]
    assert command[command.index("--output") + 1] == "deploy"
    command[command.index("--output") + 1] = str(tmp_path)
    # A developer's own .env must not change the examples.
    environment = {"PATH": os.environ["PATH"], "SESSION_CLEANUP_ENDED_DAYS": ""}
    environment |= dict(word.split("=", 1) for word in words[:python])

    subprocess.run(command, cwd=ROOT, env=environment, check=True)

    assert files_below(tmp_path) == files_below(EXAMPLES)


def test_prints_every_file_under_its_name(cleanup_deploy):
    printed = cleanup_deploy("systemd", "railway").out

    heads = re.findall(r"^==> (.*) <==$", printed, re.MULTILINE)
    assert "systemd/cleanup-sessions@collaborative-expired.timer" in heads
    assert "railway/railway.json" in heads
    assert "WorkingDirectory=/srv/shop" in printed


def test_writes_the_files_and_names_them(cleanup_deploy, tmp_path):
    printed = cleanup_deploy("crontab", f"--output={tmp_path}").out.split()

    assert printed == [str(path) for path in sorted((tmp_path / "crontab").iterdir())]


def test_the_options_reach_the_files(cleanup_deploy):
    printed = cleanup_deploy(
        "systemd",
        "crontab",
        "--manage=/srv/shop/src/manage.py",
        "--python=/opt/python",
        "--env-file=/etc/shop.env",
        "--user=shop",
        "--group=web",
        "--log-file=/var/log/shop/cleanup.log",
        "--on-failure=/opt/tell",
    ).out

    assert "ExecStart=/opt/python /srv/shop/src/manage.py cleanup_sessions" in printed
    assert "EnvironmentFile=-/etc/shop.env" in printed
    assert "User=shop\nGroup=web\n" in printed
    assert ">> /var/log/shop/cleanup.log 2>&1" in printed
    assert "ExecStart=/opt/tell %i" in printed


def test_a_schedule_of_the_project_is_in_all_of_them(cleanup_deploy, settings):
    settings.SESSION_CLEANUP_SCHEDULES = {"daily": "15 */12 * * *"}

    printed = cleanup_deploy("systemd", "crontab", "railway", "--job=collaborative-expired").out

    assert "OnCalendar=*-*-* 00,12:15:00 UTC" in printed
    assert "\n15 */12 * * * ( cd /srv/shop" in printed
    assert '"cronSchedule": "15 */12 * * *"' in printed


def test_warnings_go_to_stderr(cleanup_deploy, monkeypatch):
    monkeypatch.setattr(deploy, "zone_beside_utc", lambda: "Europe/Berlin")

    captured = cleanup_deploy("crontab")

    assert "Warning: This host's time zone is Europe/Berlin" in captured.err
    assert "Berlin" not in captured.out


def test_a_left_over_timer_is_named_on_stderr(cleanup_deploy, settings, tmp_path):
    cleanup_deploy("systemd", f"--output={tmp_path}")
    settings.SESSION_CLEANUP_PRESETS = []

    captured = cleanup_deploy("systemd", f"--output={tmp_path}", "--force")

    assert "disable --now cleanup-sessions@collaborative-expired.timer" in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["systemd", "--user=no such user"],
        ["systemd", "--python=python3"],
        ["systemd", "--env-file="],
        ["systemd", "--manage="],
        ["systemd", "--group="],
        ["railway", "--job="],
        ["crontab", "--log-file=/var/log/x.log"],
        ["railway", "--job=nothing"],
        ["systemd", "--output=/dev/null/x"],
    ],
)
def test_refusals_leave_with_status_2_and_one_sentence(cleanup_deploy, arguments):
    with pytest.raises(CommandError) as refused:
        cleanup_deploy(*arguments)

    assert refused.value.returncode == 2
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("setting", ["SESSION_CLEANUP_SCHEDULES", "SESSION_CLEANUP_PRESETS"])
def test_a_bad_configuration_is_refused_with_status_2(cleanup_deploy, settings, setting):
    setattr(settings, setting, ["nothing"])

    with pytest.raises(CommandError, match=setting) as refused:
        cleanup_deploy("systemd")

    assert refused.value.returncode == 2


def test_a_misspelt_schedule_is_refused_with_what_was_meant(cleanup_deploy, settings):
    settings.SESSION_CLEANUP_SCHEDULES = {"colaborative-expired": "0 5 * * *"}

    with pytest.raises(CommandError, match="Did you mean 'collaborative-expired'"):
        cleanup_deploy("crontab")


@pytest.mark.parametrize("arguments", [[], ["launchd"], ["systemd", "--no-such-option"]])
def test_the_command_line_is_refused_without_a_traceback(arguments):
    done = subprocess.run(
        [sys.executable, "manage.py", "cleanup_deploy", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DEBUG": "true"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_teaches_by_example(capsys):
    with pytest.raises(SystemExit):
        call_command("cleanup_deploy", "--help")

    shown = capsys.readouterr().out
    assert "cleanup_deploy systemd --output build" in shown
    assert "SESSION_CLEANUP_SCHEDULES" in shown
