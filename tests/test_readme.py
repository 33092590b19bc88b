"""The README says what the code does: its tables, commands and links."""

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from django.core.management.base import BaseCommand

from session_cleanup.conf import PREFIX, SETTINGS, whole_number
from session_cleanup.doctor.examination import examine
from session_cleanup.doctor.findings import MEANINGS, Finding
from session_cleanup.doctor.indexes import FEW
from session_cleanup.engine.pressure import SIGNS
from session_cleanup.engine.report import OUTCOMES, RANGES
from session_cleanup.management.commands import (
    cleanup_deploy,
    cleanup_doctor,
    cleanup_scheduler,
    cleanup_sessions,
    restore_sessions,
    session_report,
    unpack_sessions,
)
from session_cleanup.models import CleanupRun, JobRun
from session_cleanup.policies import Policy, registry
from session_cleanup.policies.policy import GROUPS
from session_cleanup.policies.presets import SYSTEMS
from session_cleanup.reporting import json as as_json
from session_cleanup.reporting.diagnosis import as_json as diagnosis_as_json
from session_cleanup.scheduling.deploy import TARGETS
from session_cleanup.scheduling.schedules import schedule_of
from tests import readme

EXAMPLE = readme.ROOT / "example_project"
PACKAGE = readme.ROOT / "session_cleanup"


def numbers(text):
    return [int(number) for number in re.findall(r"\d+", text.replace(",", ""))]


# Tables.


def test_every_setting_with_its_default_and_range():
    rows = {readme.code(row[0])[0].removeprefix("SESSION_CLEANUP_"): row for row in readme.table("setting")}

    assert list(rows) == sorted(rows, key=list(SETTINGS).index)
    assert rows.keys() == SETTINGS.keys()
    for name, (_, _, default, allowed, meaning) in rows.items():
        setting = SETTINGS[name]
        assert ast.literal_eval(default.strip("`")) == setting.default, name
        assert meaning, name
        if isinstance(setting.rule, whole_number):
            assert numbers(allowed) == [setting.rule.low, setting.rule.high], name
            assert ("None" in allowed) == bool(setting.rule.none), name


def test_every_reason_to_wait_with_its_limit():
    said = [tuple(readme.code(cell)[0] for cell in row[:2]) for row in readme.table("reason")]

    assert said == [(sign.reason, PREFIX + sign.setting) for sign in SIGNS]


def test_every_variable_of_the_example_project():
    lines = (EXAMPLE / ".env.example").read_text().splitlines()
    variables = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    said = {name for row in readme.table("setting") for name in readme.code(row[1])}
    settings = (EXAMPLE / "settings.py").read_text()

    assert said == set(re.findall(r'^SESSION_CLEANUP_\w+ = env\.\w+\("(\w+)"', settings, re.MULTILINE))
    assert said <= variables
    for name in variables:
        assert f"`{name}`" in readme.section("Settings"), name


def metavar_of(action):
    """What stands behind an option; nothing behind one that takes no value."""
    return "" if action.nargs == 0 else action.metavar or action.dest.upper()


def arguments_of(command):
    """Name (such as "--type" or "JOB") to metavar, of what the command adds to Django's own."""
    usual = {action.dest for action in BaseCommand().create_parser("", "")._actions}
    return {
        (action.option_strings or [action.metavar])[0]: metavar_of(action)
        for action in command.create_parser("manage.py", "x")._actions
        if action.dest not in usual
    }


@pytest.mark.parametrize(
    ("title", "command"),
    [
        ("cleanup_sessions", cleanup_sessions.Command()),
        ("unpack_sessions", unpack_sessions.Command()),
        ("cleanup_scheduler", cleanup_scheduler.Command()),
        ("cleanup_deploy", cleanup_deploy.Command()),
        ("cleanup_doctor", cleanup_doctor.Command()),
        ("restore_sessions", restore_sessions.Command()),
        ("session_report", session_report.Command()),
    ],
)
def test_every_argument(title, command):
    _, _, after = readme.section("Commands").partition(f"### {title}\n")
    rows = re.findall(r"^\| `(\S+)(?: (\S+))?`.* \| .+ \|$", after.partition("\n### ")[0], re.MULTILINE)
    said = {name: value for name, value in rows if name.startswith("--") or value == "…"}

    arguments = arguments_of(command)
    assert said.keys() == arguments.keys()
    for name, metavar in arguments.items():
        if name.startswith("--") and name != "--format":
            assert said[name] == metavar, name


def test_the_range_of_every_number():
    rows = {readme.code(row[0])[0].split()[0]: row[1] for row in readme.table("argument")}

    for name, (low, high) in RANGES.items():
        assert rows[f"--{name}"].startswith(f"{low}–{high:,}".replace("8,760", "8760")), name


def test_every_exit_status():
    rows = {int(row[0]): set(readme.code(row[1])) for row in readme.table("exit status")}

    expected = {0: {"ok"}, 2: set()}
    for status, code, _ in OUTCOMES:
        expected.setdefault(code, set()).add(status)
    assert rows == expected
    assert set().union(*rows.values()) == {*CleanupRun.Status.values} - {"running"}
    order = [str(code) for _, code, _ in OUTCOMES if code]
    assert f"The first of {', '.join(order)} that applies wins." in readme.TEXT


def test_every_end_state():
    said = {readme.code(row[0])[0] for row in readme.table("end state of a job run")}

    assert said == {value for value in JobRun.EndState.values if value} | {"running", "died"}


def test_every_check():
    said = [readme.code(row[0])[0] for row in readme.table("id")]
    source = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))

    known = set(re.findall(r'"([EW]\d{3})"', source))
    assert said == sorted(f"session_cleanup.{check}" for check in known)


def test_every_finding_of_the_doctor():
    rows = readme.table("finding")

    assert {readme.code(row[0])[0]: row[2] for row in rows} == MEANINGS
    assert [readme.code(row[0])[0] for row in rows] == list(MEANINGS)


def test_the_severity_of_every_finding():
    """As the code says it; by the number of rows where it says nothing."""
    source = "".join(path.read_text() for path in (PACKAGE / "doctor").glob("*.py"))
    said = dict(re.findall(r'Finding\(\s*"([\w-]+)",\s*(?:Severity\.(\w+)|_by_size)', source))

    told = {readme.code(row[0])[0]: row[1] for row in readme.table("finding")}
    by_size = f"serious; advice below {FEW:,} rows"
    assert told == {slug: severity.lower() or by_size for slug, severity in said.items()}


def test_every_key_of_the_doctors_json(db):
    diagnosis = json.loads(diagnosis_as_json(examine()))
    told = set(readme.code(readme.section("cleanup_doctor")))

    finding = {field.name for field in fields(Finding)}
    assert told >= {*diagnosis, *diagnosis["jobs"][0], *diagnosis["jobs"][0]["questions"][0], *finding}


def test_every_job_with_its_preset_group_and_schedule(settings):
    settings.SESSION_CLEANUP_PRESETS = list(SYSTEMS)
    settings.SESSION_CLEANUP_ENDED_DAYS = 30
    said = [[*row[:2], row[2], row[3]] for row in readme.table("preset")]

    jobs = [
        [
            f"`{job.preset}`" if job.preset else "always on",
            f"`{job.name}`",
            job.group,
            f"`{schedule_of(job)}`",
        ]
        for job in registry.declared()
    ]
    assert said == jobs


def test_every_group_with_its_schedule():
    text = " ".join(readme.section("Jobs and schedules").split())

    for group, cron in GROUPS.items():
        assert f"{group} `{cron}`" in text, group


def test_every_part_of_a_policy():
    said = [readme.code(row[0])[0] for row in readme.table("part of a `Policy`")]

    assert sorted(said) == sorted(part.name for part in fields(Policy))


def test_every_target_of_cleanup_deploy():
    for target in TARGETS:
        assert f"`{target}`" in readme.section("cleanup_deploy"), target


def test_every_key_of_the_json_output(preview):
    report = json.loads(as_json.render(preview("collaborative-expired", stats=True)))
    told = set(readme.code(readme.section("cleanup_sessions")))

    assert told >= {*report, *report["jobs"][0], *report["jobs"][0]["skipped"]}


# Commands.


def managed():
    return [shlex.split(line)[2:] for line in readme.commands() if line.startswith("python manage.py ")]


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The example project with its demo data, in a directory where files may be rendered."""
    directory = tmp_path_factory.mktemp("example")
    shutil.copy(readme.ROOT / "manage.py", directory)
    shutil.copytree(EXAMPLE, directory / "example_project")
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(readme.ROOT),
        "DEBUG": "true",
        "DATABASE_URL": f"sqlite:///{directory}/db.sqlite3",
    }

    def manage(*arguments):
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
        )

    assert manage("migrate", "--verbosity", "0").returncode == 0
    assert manage("load_demo").returncode == 0
    return manage


@pytest.mark.once
@pytest.mark.slow
def test_every_command_runs(example):
    for arguments in managed():
        done = example(*arguments)
        assert done.returncode in (0, 3), f"{arguments}\n{done.stdout}\n{done.stderr}"


@pytest.mark.once
@pytest.mark.slow
def test_what_the_doctor_prints(example):
    """But for the numbers of rows, which runs of other tests change."""
    [block] = readme.blocks("console", readme.section("cleanup_doctor"))
    command, _, said = block.partition("\n")

    done = example(*shlex.split(command)[3:])

    rows = re.compile(r"Rows: .*")
    assert rows.sub("", done.stdout) == rows.sub("", said)
    assert re.search(r"Rows: \d+, due: \d+ \(\d+\.\d%\)", said)


def test_commands_are_of_a_kind_that_some_test_runs():
    starts = {" ".join(line.split()[:3]) for line in readme.commands()}

    assert {start for start in starts if not start.startswith("python manage.py")} == {
        "python -m pip",
    }


@pytest.mark.parametrize("block", readme.blocks("sh"))
def test_commands_for_the_host_are_well_formed(block):
    subprocess.run(["sh", "-n"], input=block, text=True, check=True)

    known = re.findall(r"^([\w-]+):", (readme.ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in block.splitlines():
        if line.startswith("make "):
            targets = [
                word for word in line.partition("#")[0].split()[1:] if "=" not in word and '"' not in word
            ]
            assert set(targets) <= set(known), line


# Links.


def test_links_lead_somewhere():
    headings = re.findall(r"^#+ (.+)$", re.sub(readme.FENCE, "", readme.TEXT), re.MULTILINE)
    anchors = {"#" + heading.lower().replace(" ", "-") for heading in headings}

    for target in re.findall(r"\]\(([^)]+)\)", readme.TEXT):
        assert target in anchors or Path(readme.ROOT, target).exists(), target
