"""A brand-new project follows the README word by word, with the wheel that is built from this checkout."""

import json
import os
import shutil
import subprocess
import venv

import pytest

from tests import readme

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(600)]

OWN_ROWS = """
from datetime import timedelta
from django.utils import timezone
from shop.models import Cart
old = timezone.now() - timedelta(days=200)
Cart.objects.bulk_create([Cart(session_key=f"due{i}", updated_at=old) for i in range(3)])
Cart.objects.create(session_key="ordered", updated_at=old, is_ordered=True)
Cart.objects.create(session_key="fresh")
"""
OWN_LEFT = """
from shop.models import Cart
print(sorted(Cart.objects.values_list("session_key", flat=True)))
"""
SHIPPED_ROWS = """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from session_cleanup.models import *
now, old = timezone.now(), timezone.now() - timedelta(days=60)
anna, ben = User.objects.create(username="anna"), User.objects.create(username="ben")
deck = {"kind": "presentation", "has_blank_presentation": True}
Session.objects.create(title="blank", created_at=old, **deck)
Session.objects.create(title="topic", created_at=old, has_topic=True, **deck)
board = Session.objects.create(title="board", kind="collaborative", expires_at=old)
SessionMember.objects.create(session=board, user=anna, is_online=True)
Session.objects.create(title="busy", kind="collaborative", expires_at=now + timedelta(days=1))
Session.objects.create(title="date", kind="after_hours", owner=anna, expires_at=old)
SessionDecline.objects.create(decliner=anna, declined=ben, last_declined_at=old)
DeviceFingerprint.objects.create(session_id=987, digest="x")
SessionProfile.objects.create(user_id=987, display_name="x")
"""
SHIPPED_LEFT = """
from session_cleanup.models import *
print([
    list(Session.objects.order_by("title").values_list("title", "is_active", "end_reason")),
    list(SessionMember.objects.values_list("is_online", flat=True)),
    [m.objects.count() for m in (SessionDecline, DeviceFingerprint, SessionProfile)],
])
"""


OF_OWN_MODEL = "python manage.py cleanup_doctor abandoned-carts"


class Place:
    """A directory in which commands are run as a reader would, with the virtual environment first."""

    def __init__(self, directory, binaries):
        self.directory = directory
        self.binaries = binaries

    def __call__(self, command):
        inherited = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.directory,
            env={**inherited, "PATH": f"{self.binaries}:/usr/bin:/bin", "HOME": str(self.directory)},
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 3), f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def shell(self, code):
        return self(f"python manage.py shell --no-imports -c '{code}'").stdout.strip()

    def follow(self, title, rows=None):
        """Write the files of a section and run its commands but those about the other start's job;
        `rows` come before the first run."""
        text = readme.section(title)
        for path, content in readme.files(text):
            grows = path.endswith(("settings.py", "urls.py", "wsgi.py"))
            added = (self.directory / path).read_text() if grows else ""
            (self.directory / path).write_text(f"{added}\n{content}")
        shown = {}
        for command in readme.commands(text):
            if command == OF_OWN_MODEL and title == "Commands":
                continue
            if rows and "cleanup_sessions" in command:
                self.shell(rows)
                rows = None
            shown[command] = self(command)
        return shown


@pytest.fixture(scope="module")
def binaries(tmp_path_factory):
    """A fresh virtual environment into which the README's commands have installed the wheel."""
    place = tmp_path_factory.mktemp("checkout")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=readme.ROOT, capture_output=True, text=True, check=True)
    for name in names.stdout.splitlines():
        if (readme.ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(readme.ROOT / name, place / name)
    environment = tmp_path_factory.mktemp("venv")
    venv.create(environment, with_pip=True)
    checkout = Place(place, environment / "bin")
    for command in readme.commands(readme.section("Install")):
        checkout(command)
    return environment / "bin"


@pytest.fixture
def project(binaries, tmp_path):
    """A new project with an empty app, `shop`."""
    place = Place(tmp_path, binaries)
    place("django-admin startproject mysite .")
    place("python manage.py startapp shop")
    settings = tmp_path / "mysite" / "settings.py"
    settings.write_text(f'{settings.read_text()}\nINSTALLED_APPS += ["shop"]\n')
    return place


def test_a_policy_on_the_projects_own_model(project):
    shown = project.follow("Start with your own models", OWN_ROWS)

    assert "no issues" in shown["python manage.py check"].stdout
    preview = shown["python manage.py cleanup_sessions --dry-run --verbose"].stdout
    assert "Carts that would be deleted: 3" in preview
    assert "abandoned-carts: delete shop.Cart" in project(OF_OWN_MODEL).stdout
    assert "Carts deleted: 3" in shown["python manage.py cleanup_sessions"].stdout
    assert project.shell(OWN_LEFT) == "['fresh', 'ordered']"


def test_the_three_presets_and_everything_after_them(project):
    shown = project.follow("Start with the shipped models", SHIPPED_ROWS)

    assert "Cleanup completed successfully" in shown["python manage.py cleanup_sessions"].stdout
    assert project.shell(SHIPPED_LEFT) == str(
        [
            [
                ("board", False, "expired"),
                ("busy", True, ""),
                ("date", False, "expired"),
                ("topic", True, ""),
            ],
            [False],
            [0, 0, 0],
        ]
    )

    for title in ("First week", "Jobs and schedules", "Commands", "Ways to schedule", "Operation"):
        shown |= project.follow(title)

    assert "no issues" in project("python manage.py check").stdout
    jobs = json.loads(project("python manage.py cleanup_sessions --list --format json").stdout)
    assert {job["schedule"] for job in jobs} == {
        *("*/5 * * * *", "0 * * * *", "0 */12 * * *", "0 3 * * *", "0 3 * * 0", "0 4 1 * *"),
    }
    assert "cleanup finished run=" in project("python manage.py cleanup_sessions").stderr
    assert "OnCalendar" in shown["python manage.py cleanup_deploy systemd"].stdout
    assert "/cleanup/cron/presentations-blank/" in project("python manage.py cleanup_deploy vercel").stdout
    assert (project.directory / "build" / "crontab" / "cleanup-sessions.crontab").is_file()
