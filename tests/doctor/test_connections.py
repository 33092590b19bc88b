"""Settings of a connection, each made by a real connection that has it."""

import pytest
from django.db import connection, connections
from django.db.utils import load_backend

from session_cleanup.doctor.findings import Severity
from tests.doctor.finding import slugs, the
from tests.doctor.policies import BOOKS

pytestmark = pytest.mark.django_db(databases=["default", "other"])
POSTGRES = connection.vendor == "postgresql"
on_sqlite = pytest.mark.skipif(POSTGRES, reason="needs SQLite")


@pytest.fixture
def odd(diagnose):
    """odd(OPTIONS={…}, …): what the doctor says of the database "other" when its settings are these."""
    before = connections["other"]
    made = []

    def odd(OPTIONS=None, **settings):
        settings = {**before.settings_dict, **settings}
        settings["OPTIONS"] = {**settings["OPTIONS"], **(OPTIONS or {})}
        connections["other"] = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, "other")
        made.append(connections["other"])
        return diagnose(BOOKS, database="other")

    yield odd
    for each in made:
        each.close()
    connections["other"] = before


def session(name, value):
    """OPTIONS of a connection whose session begins with this."""
    return {"options": f"-c {name}={value}".replace("repeatable read", "repeatable\\ read")}


def of_connection(diagnosis):
    return [finding.slug for finding in diagnosis.findings if finding.subject == "other"]


def test_ordinary_settings_are_nothing_to_speak_of(odd):
    wal = {"init_command": "PRAGMA journal_mode = WAL", "timeout": 5}

    assert of_connection(odd(OPTIONS={} if POSTGRES else wal)) == []


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
@pytest.mark.postgres
def test_an_isolation_level_of_the_session(odd, level):
    finding = the("isolation-level", odd(OPTIONS=session("default_transaction_isolation", level)))

    assert (finding.what, finding.severity) == (f"Transactions are {level.upper()}.", Severity.NOTE)


@pytest.mark.postgres
def test_an_isolation_level_of_django(odd):
    assert "REPEATABLE READ" in the("isolation-level", odd(OPTIONS={"isolation_level": 3})).what


@pytest.mark.postgres
def test_a_session_that_takes_no_changes(odd):
    diagnosis = odd(OPTIONS=session("default_transaction_read_only", "on"))

    assert the("database-read-only", diagnosis).severity is Severity.SERIOUS
    assert diagnosis.exit_status == 1


@pytest.mark.postgres
@pytest.mark.parametrize(("timeout", "found"), [("3s", ["statement-timeout"]), ("30s", []), ("0", [])])
def test_a_statement_timeout_shorter_than_ours(odd, timeout, found):
    assert slugs(odd(OPTIONS=session("statement_timeout", timeout))) == found


@pytest.mark.postgres
@pytest.mark.parametrize(("off", "found"), [(False, ["server-side-cursors"]), (True, [])])
def test_the_port_of_a_pooler(odd, tmp_path, off, found):
    server = connection.get_connection_params()
    if not server["host"].startswith("/"):
        pytest.skip("only a socket can be given another port's name")
    real = f"{server['host']}/.s.PGSQL.{server.get('port') or 5432}"
    (tmp_path / ".s.PGSQL.6543").symlink_to(real)

    diagnosis = odd(OPTIONS={"host": str(tmp_path)}, PORT="6543", DISABLE_SERVER_SIDE_CURSORS=off)

    assert slugs(diagnosis) == found


def test_autocommit_off(odd):
    diagnosis = odd(AUTOCOMMIT=False)

    assert the("autocommit-off", diagnosis).severity is Severity.SERIOUS
    assert diagnosis.jobs[0].index is not None  # the rest was looked at all the same


def test_atomic_requests(odd):
    assert the("atomic-requests", odd(ATOMIC_REQUESTS=True)).severity is Severity.NOTE


@on_sqlite
@pytest.mark.parametrize(("seconds", "found"), [(0.2, True), (5, False)])
def test_a_short_timeout(odd, seconds, found):
    assert ("sqlite-timeout" in slugs(odd(OPTIONS={"timeout": seconds}))) == found


@on_sqlite
def test_a_file_that_is_quick_to_break_and_lets_one_in_at_a_time(diagnose):
    subjects = {finding.slug: finding.subject for finding in diagnose(BOOKS).findings}

    assert subjects == {"sqlite-journal": "default", "sqlite-synchronous": "default"}


def test_a_database_that_does_not_answer(odd):
    nowhere = {"OPTIONS": {"host": "/nowhere"}} if POSTGRES else {"NAME": "/nowhere/db.sqlite3"}

    diagnosis = odd(**nowhere)

    finding = the("database-down", diagnosis)
    assert (finding.subject, finding.severity) == ("other", Severity.SERIOUS)
    assert (diagnosis.exit_status, diagnosis.jobs[0].walk) == (1, None)


def test_a_database_of_another_kind(odd):
    assert the("database-unsupported", odd(ENGINE="django.db.backends.dummy")).severity is Severity.SERIOUS
