"""What the doctor may do: look, for a bounded time, at whatever is there."""

import time

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from session_cleanup.doctor.examination import examine
from session_cleanup.doctor.findings import Finding, Severity
from session_cleanup.doctor.looking import looking
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies import Aged, Delete, Policy
from tests.commands.rows import dump
from tests.doctor.finding import slugs, the
from tests.doctor.policies import BOOKS, DETACH, ROOMS
from tests.factories import DAY, NOW, SessionFactory
from tests.policies.checking import HOUSEKEEPING
from tests.testapp.models import Book, Ticket

CASCADE = "CASCADE" if connection.vendor == "postgresql" else ""
LOOKING = ("SELECT", "EXPLAIN", "SET", "PRAGMA", "SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN")


def test_it_writes_nothing(db, diagnose):
    Book.objects.create(read_at=NOW - DAY)
    before = dump()

    with CaptureQueriesContext(connection) as captured:
        diagnose(BOOKS, DETACH, ROOMS)

    assert dump() == before
    assert [query["sql"] for query in captured if not query["sql"].lstrip().startswith(LOOKING)] == []


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.django_db(transaction=True)
def test_the_database_itself_refuses_a_write_of_the_doctor(nested):
    def write():
        with looking("default"):
            Ticket.objects.create(code="x")

    if nested:
        with transaction.atomic():
            Ticket.objects.create(code="before")
            with pytest.raises(DatabaseError, match=r"read-?only"):
                write()
            Ticket.objects.create(code="after")
    else:
        with pytest.raises(DatabaseError, match=r"read-?only"):
            write()
        Ticket.objects.create(code="after")

    assert not Ticket.objects.filter(code="x").exists()
    assert Ticket.objects.filter(code="after").exists()


def test_what_it_asks_does_not_grow_with_the_tables(db, diagnose):
    def statements():
        with CaptureQueriesContext(connection) as captured:
            diagnose(BOOKS)
        return len(captured)

    before = statements()
    Book.objects.bulk_create([Book(read_at=NOW - DAY) for _ in range(1500)])

    assert statements() == before


@pytest.mark.postgres
def test_every_statement_is_bounded(db, diagnose):
    """Each is asked in a transaction that has set its bounds before."""
    with CaptureQueriesContext(connection) as captured:
        diagnose(BOOKS)

    bounded = False
    for query in captured:
        sql = query["sql"]
        if "set_config('lock_timeout'" in sql:
            bounded = True
        elif sql.startswith("SAVEPOINT"):
            bounded = False
        elif not sql.startswith(("SET", "ROLLBACK", "RELEASE", "SELECT current_setting", "SELECT extract")):
            assert bounded, sql


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_table_that_somebody_has_locked(diagnose, settings):
    settings.SESSION_CLEANUP_STATS_TIMEOUT_MS = 100
    other = connection.copy()
    started = time.monotonic()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE testapp_book IN ACCESS EXCLUSIVE MODE")
            diagnosis = diagnose(BOOKS)
    finally:
        other.close()

    assert "100 ms" in the("not-examined", diagnosis).what
    assert diagnosis.jobs[0].rows is None
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("table", ["testapp_book", "testapp_footnote", "session_cleanup_hold"])
def test_a_missing_table(sql, diagnose, table):
    sql(f"DROP TABLE {table} {CASCADE}")

    diagnosis = diagnose(BOOKS)

    finding = the("table-missing", diagnosis)
    assert (finding.subject, finding.severity) == (table, Severity.SERIOUS)
    assert "migrate --database default" in finding.cure
    assert diagnosis.exit_status == 1


def test_a_missing_table_does_not_keep_other_jobs_from_being_looked_at(sql, diagnose):
    sql(f"DROP TABLE testapp_footnote {CASCADE}")

    books, rooms = diagnose(BOOKS, ROOMS).jobs

    assert (books.walk, rooms.walk) == (None, "keyset")


@pytest.mark.django_db(databases=["default", "other"])
def test_each_job_is_looked_at_in_its_own_database(diagnose):
    there = Policy(
        name="there", model="testapp.Ticket", database="other", select=Aged("day"), action=Delete()
    )
    Ticket.objects.using("other").create(code="x", day=(NOW - DAY).date())

    with CaptureQueriesContext(connections["other"]) as captured:
        diagnosis = diagnose(BOOKS, there)

    assert [(job.database, job.due) for job in diagnosis.jobs] == [("default", 0), ("other", 1)]
    assert captured.captured_queries
    assert slugs(diagnosis) == []


def test_the_serious_comes_first(sql, diagnose):
    sql(f"DROP TABLE testapp_footnote {CASCADE}")
    policy = Policy(name="x", model="testapp.Book", select=Aged("closed_at"), action=Delete())

    severities = [finding.severity for finding in diagnose(policy, ROOMS).findings]

    assert severities == sorted(severities, key=list(Severity).index)


def test_it_looks_at_weekly_and_monthly_jobs_too(db, declare):
    declare(Policy(name="x", model="testapp.Ticket", select=Aged("day"), action=Delete(), group="monthly"))

    assert [job.name for job in examine(now=NOW).jobs] == ["x", *HOUSEKEEPING]


def test_what_a_run_refuses_is_refused(declare, settings):
    with pytest.raises(ConfigurationError, match="no database 'nowhere'"):
        examine(database="nowhere")
    with pytest.raises(ConfigurationError, match="There is no job 'x'"):
        examine(["x"])
    settings.SESSION_CLEANUP_HOURS = 0
    with pytest.raises(ConfigurationError, match="SESSION_CLEANUP_HOURS"):
        examine()


def test_a_finding_has_a_meaning():
    with pytest.raises(ValueError, match="'nonsense' is not among MEANINGS"):
        Finding("nonsense", Severity.NOTE, "", "", "", "")


def test_rows_under_another_presets_kind_are_not_counted(db):
    SessionFactory(expires_at=NOW - DAY)
    SessionFactory(expires_at=NOW + DAY)

    [job] = examine(["collaborative-expired"], now=NOW).jobs

    assert (job.rows, job.due) == (2, 1)
