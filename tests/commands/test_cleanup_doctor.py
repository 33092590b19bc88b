"""The command cleanup_doctor: what it prints and its exit status."""

import json
from functools import partial

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from session_cleanup.doctor.findings import MEANINGS
from session_cleanup.models import Session
from tests.commands import calling
from tests.commands.calling import JOBS, ROUTINES
from tests.commands.manage import assert_refused, manage
from tests.commands.rows import dump

JOB = "after-hours-close"


call = partial(calling.call, command="cleanup_doctor")


def diagnosis_of(*arguments):
    status, shown = call(*arguments, "--format", "json")
    diagnosis = json.loads(shown)
    assert diagnosis["exit_status"] == status
    return diagnosis


@pytest.fixture
def without_index(db):
    with connection.cursor() as cursor:
        cursor.execute('DROP INDEX "idx_sessions_open_expired"')
        cursor.execute('DROP INDEX "idx_sessions_expired"')
        cursor.execute('DROP INDEX "idx_sessions_unclosed"')


def test_a_healthy_project(db):
    status, shown = call()

    assert status == 0
    assert all(f"\n{job}: " in shown for job in JOBS if job not in ROUTINES)
    assert "serious: 0" in shown


def test_something_serious(without_index):
    status, shown = call(JOB)

    assert status == 1
    assert "SERIOUS index-not-migrated: after-hours-close" in shown
    assert "migrate --database default" in shown


def test_as_json(db):
    diagnosis = diagnosis_of(JOB)

    [job] = diagnosis["jobs"]
    [question] = job.pop("questions")
    assert diagnosis.keys() == {"examined_at", "exit_status", "jobs", "findings"}
    assert diagnosis["examined_at"].endswith("Z")
    assert job == {
        "name": JOB,
        "model": "session_cleanup.Session",
        "database": "default",
        "action": "close",
        "walk": "keyset",
        "index": "idx_sessions_open_expired",
        "rows": 0,
        "due": 0,
        "sampled": False,
        "share": 0.0,
    }
    assert question["sql"].startswith("SELECT")
    assert Session._meta.db_table in " ".join(question["plan"])


def test_a_finding_as_json(without_index):
    findings = {finding["slug"]: finding for finding in diagnosis_of(JOB)["findings"]}

    found = findings["index-not-migrated"]
    assert found.keys() == {"slug", "severity", "subject", "what", "why", "cure", "migration"}
    assert (found["severity"], found["subject"], found["migration"]) == ("serious", JOB, "")


def test_a_migration_can_be_cut_out_of_the_text(without_index):
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX other ON session_cleanup_session (expires_at) WHERE title = 'x'")

    lines = call(JOB)[1].splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("    # "))
    end = lines.index(" " * 8 + "]")
    text = "\n".join(line[4:] for line in lines[begin : end + 1])

    compile(text, "migration", "exec")
    assert "CREATE INDEX" in text


def test_a_preset_stands_for_its_jobs(db):
    assert [job["name"] for job in diagnosis_of("presentations", "collaborative")["jobs"]] == JOBS[:2]


def test_it_writes_nothing(some_due):
    before = dump()

    call()

    assert dump() == before


def test_the_help_names_every_finding_and_exit_status(capsys):
    with pytest.raises(SystemExit) as left:
        call_command("cleanup_doctor", "--help")

    shown = capsys.readouterr().out
    assert left.value.code == 0
    assert all(f"  {slug} " in shown and meaning in shown for slug, meaning in MEANINGS.items())
    assert all(f"\n  {status}  " in shown for status in range(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["colaborative-expired"], "Did you mean 'collaborative-expired'?"),
        (["daily"], "'daily' is a group, not a job"),
        (["--database", "defualt"], "Did you mean 'default'?"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(CommandError, match=message.replace("?", r"\?")) as refused:
        call_command("cleanup_doctor", *arguments)

    assert refused.value.returncode == 2


def test_a_setting_that_no_run_would_accept(settings):
    settings.SESSION_CLEANUP_HOURS = 0

    with pytest.raises(CommandError, match="SESSION_CLEANUP_HOURS is 0") as refused:
        call_command("cleanup_doctor")

    assert refused.value.returncode == 2


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--format", "xml"], ["no-such-job"]])
def test_a_refusal_from_a_shell_is_one_line(arguments):
    assert_refused(manage("cleanup_doctor", *arguments), 2)


def test_a_database_that_does_not_answer_is_a_finding_from_a_shell(tmp_path):
    done = manage("cleanup_doctor", "presentations-blank", database=f"sqlite:///{tmp_path}/no/db.sqlite3")

    assert (done.returncode, done.stderr) == (1, "")
    assert "SERIOUS database-down: default" in done.stdout


def test_a_database_without_tables_is_a_finding_from_a_shell(tmp_path):
    done = manage("cleanup_doctor", "presentations-blank", database=f"sqlite:///{tmp_path}/db.sqlite3")

    assert (done.returncode, done.stderr) == (1, "")
    assert "SERIOUS table-missing: session_cleanup_session\n" in done.stdout
