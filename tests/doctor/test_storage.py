"""Dead rows and space without rows, made by real deletes in committed transactions."""

import pytest
from django.db import connection

from session_cleanup.doctor.examination import examine
from session_cleanup.doctor.findings import Severity
from session_cleanup.policies import Aged, Delete, Policy
from tests.doctor.finding import the
from tests.factories import NOW

pytestmark = pytest.mark.django_db(transaction=True)
STORAGE = {"dead-rows", "autovacuum-off", "space-to-win"}
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="needs SQLite")
TICKETS = Policy(name="tickets", model="testapp.Ticket", select=Aged("day"), action=Delete())
TICKETS_OF = """
INSERT INTO testapp_ticket (code, is_hidden) SELECT '{} ticket ' || n, false FROM generate_series(1, {}) n
"""


def execute(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def stored(diagnosis):
    return {finding.slug for finding in diagnosis.findings} & STORAGE


@pytest.fixture
def unvacuumed():
    """testapp_ticket, new, with autovacuum off."""
    execute("TRUNCATE testapp_ticket CASCADE", "ALTER TABLE testapp_ticket SET (autovacuum_enabled = off)")
    yield
    execute("ALTER TABLE testapp_ticket RESET (autovacuum_enabled)")


@pytest.fixture
def half_empty(unvacuumed):
    execute(
        TICKETS_OF.format("old", 100_000),
        TICKETS_OF.format("new", 30_000),
        "DELETE FROM testapp_ticket WHERE code LIKE 'old%'",
        "SELECT pg_stat_force_next_flush()",
        "ANALYZE testapp_ticket",
    )
    yield
    execute("DROP EXTENSION IF EXISTS pgstattuple")


@pytest.mark.postgres
def test_dead_rows_and_why_they_stay(half_empty, diagnose):
    diagnosis = diagnose(TICKETS)

    dead = the("dead-rows", diagnosis)
    assert (dead.subject, dead.severity) == ("testapp_ticket", Severity.ADVICE)
    assert "it was never vacuumed" in dead.what
    assert the("autovacuum-off", diagnosis).subject == "testapp_ticket"
    assert diagnosis.exit_status == 0


@pytest.mark.postgres
def test_space_is_estimated_and_says_so(half_empty, diagnose):
    finding = the("space-to-win", diagnose(TICKETS))

    assert "estimated from the average width of its rows" in finding.what
    assert "VACUUM FULL testapp_ticket" in finding.cure


@pytest.mark.postgres
def test_space_is_measured_where_the_database_can(half_empty, diagnose):
    execute("CREATE EXTENSION pgstattuple")

    assert "as pgstattuple_approx measured it" in the("space-to-win", diagnose(TICKETS)).what


@pytest.mark.postgres
def test_after_a_vacuum_the_rows_are_gone_and_the_space_stays(half_empty, diagnose):
    execute("VACUUM (ANALYZE) testapp_ticket")

    assert stored(diagnose(TICKETS)) == {"autovacuum-off", "space-to-win"}


@pytest.mark.postgres
def test_a_full_table_has_nothing_to_give_back(half_empty, diagnose):
    execute("VACUUM (FULL, ANALYZE) testapp_ticket", "ALTER TABLE testapp_ticket RESET (autovacuum_enabled)")

    assert stored(diagnose(TICKETS)) == set()


@pytest.mark.postgres
def test_a_table_that_was_never_analyzed_is_not_guessed_at(unvacuumed, diagnose):
    execute(TICKETS_OF.format("new", 100))

    assert stored(diagnose(TICKETS)) == {"autovacuum-off"}


@on_sqlite
def test_free_pages_of_an_sqlite_file():
    execute(
        "CREATE TABLE bulk (data blob)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)"
        " INSERT INTO bulk SELECT zeroblob(2000) FROM n",
        "DROP TABLE bulk",
    )
    finding = the("space-to-win", examine(now=NOW))
    execute("VACUUM")

    assert finding.subject == "default"
    assert "MB hold no rows" in finding.what
    assert stored(examine(now=NOW)) == set()
