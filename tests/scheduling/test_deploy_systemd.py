"""The rendered units: systemd understands them, and they keep the project working."""

import subprocess
import sys

import pytest

from session_cleanup.scheduling import deploy
from tests.scheduling.examples import needs_systemd, render

pytestmark = pytest.mark.once


def service(**values):
    return render("systemd", **values)["systemd/cleanup-sessions@.service"]


def analyze(*arguments, folder):
    return subprocess.run(["systemd-analyze", *arguments], cwd=folder, capture_output=True, text=True)


def test_a_timer_for_each_expression_and_a_drop_in_that_names_its_jobs():
    files = render("systemd")

    assert list(files) == [
        "systemd/cleanup-sessions@.service",
        "systemd/cleanup-sessions-failed@.service",
        "systemd/cleanup-sessions@close.timer",
        "systemd/cleanup-sessions@close.service.d/jobs.conf",
        "systemd/cleanup-sessions@often.timer",
        "systemd/cleanup-sessions@often.service.d/jobs.conf",
    ]
    timer = files["systemd/cleanup-sessions@close.timer"].splitlines()
    assert {"OnCalendar=*-*-* 04:00:00 UTC", "Persistent=true", "WantedBy=timers.target"} <= {*timer}
    drop_in = files["systemd/cleanup-sessions@close.service.d/jobs.conf"].splitlines()
    assert 'Environment="CLEANUP_JOBS=close declines"' in drop_in


def test_a_delayed_start_never_reaches_the_next_one():
    files = render("systemd")

    assert "RandomizedDelaySec=300s" in files["systemd/cleanup-sessions@close.timer"]
    assert "RandomizedDelaySec=30s" in files["systemd/cleanup-sessions@often.timer"]


def test_the_service_says_what_systemd_must_know():
    lines = service(user="shop", group="web").splitlines()

    assert {
        "Type=oneshot",
        "User=shop",
        "Group=web",
        "WorkingDirectory=/srv/shop",
        "EnvironmentFile=-/srv/shop/.env",
        "Environment=DJANGO_SETTINGS_MODULE=shop.settings CLEANUP_JOBS=%i",
        "ExecStart=/srv/shop/.venv/bin/python /srv/shop/manage.py cleanup_sessions $CLEANUP_JOBS",
        "SuccessExitStatus=3 4",
        "OnFailure=cleanup-sessions-failed@%i.service",
        "StandardOutput=journal",
        "ProtectHome=yes",
        "PrivateTmp=yes",
    } <= {*lines}
    assert not any(line.startswith("ReadWritePaths") for line in lines)


def test_a_venv_under_home_and_an_sqlite_file_keep_working():
    text = service(
        project_dir="/home/alice/shop",
        manage="/home/alice/shop/manage.py",
        python="/home/alice/shop/.venv/bin/python",
        writable=("/home/alice/my data",),
        network=False,
    )

    assert "\nProtectHome=read-only\n" in text
    assert '\nReadWritePaths="-/home/alice/my data"\n' in text
    assert "\nRestrictAddressFamilies=AF_UNIX\n" in text


def test_only_a_database_on_the_network_opens_the_network():
    assert "\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n" in service(network=True)


def test_an_interpreter_in_home_behind_a_link_is_seen(tmp_path):
    (tmp_path / "python").symlink_to("/home/alice/.pyenv/bin/python")

    assert "ProtectHome=read-only" in service(python=str(tmp_path / "python"))


def test_an_sqlite_file_in_tmp_is_seen():
    assert "\nPrivateTmp=no\n" in service(writable=("/tmp/shop",))


def test_a_program_of_ones_own_is_told_of_a_failure():
    files = render("systemd", on_failure="/usr/local/bin/tell us")

    assert 'ExecStart="/usr/local/bin/tell us" %i\n' in files["systemd/cleanup-sessions-failed@.service"]


@needs_systemd
@pytest.mark.parametrize("network", [True, False])
def test_systemd_has_nothing_to_say_and_finds_the_unit_safe(project, tmp_path, network):
    files = render("systemd", **project, network=network, on_failure=sys.executable)
    deploy.write(files, tmp_path, force=False)
    folder = tmp_path / "systemd"
    units = [path.name for path in folder.iterdir() if path.suffix == ".timer"]
    units += ["cleanup-sessions@close.service", "cleanup-sessions-failed@close.service"]

    verified = analyze("verify", "--man=no", *units, folder=folder)
    rated = analyze(
        "security", "--offline=true", "--threshold=20", "cleanup-sessions@.service", folder=folder
    )

    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    assert rated.returncode == 0, rated.stdout


@needs_systemd
def test_systemd_would_speak_up_about_a_mistake(project, tmp_path):
    files = render("systemd", **project)
    name = "systemd/cleanup-sessions@.service"
    files[name] = files[name].replace("ProtectSystem=", "ProtectSytem=")
    deploy.write(files, tmp_path, force=False)

    verified = analyze("verify", "--man=no", "cleanup-sessions@close.service", folder=tmp_path / "systemd")

    assert "ProtectSytem" in verified.stderr
