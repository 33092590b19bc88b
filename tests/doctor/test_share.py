"""How many rows are due: counted while they are few, from a sample of blocks when they are many."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from session_cleanup.doctor import postgresql
from tests.doctor.policies import BOOKS
from tests.factories import DAY, NOW
from tests.testapp.models import Book


def test_few_rows_are_counted(db, diagnose):
    Book.objects.bulk_create([Book(read_at=NOW - DAY) for _ in range(3)] + [Book(read_at=NOW + DAY)])

    [job] = diagnose(BOOKS).jobs

    assert (job.rows, job.due, job.share, job.sampled) == (4, 3, 0.75, False)


def test_a_table_without_rows_has_a_share(db, diagnose):
    assert diagnose(BOOKS).jobs[0].share == 0


@pytest.fixture
def many(db, monkeypatch, settings):
    """20,000 rows, a quarter of them due; more than are counted."""
    monkeypatch.setattr(postgresql, "LARGE", 10_000)
    monkeypatch.setattr(postgresql, "SAMPLE", 4_000)
    settings.SESSION_CLEANUP_WALK = "keyset"  # the choice of a walk has a sample of its own
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO testapp_book (id, title, is_active, read_at) SELECT gen_random_uuid(), '', true,"
            " %s + (n %% 4 - 0.5) * interval '1 day' FROM generate_series(1, 20000) n",
            [NOW],
        )
        cursor.execute("ANALYZE testapp_book")


@pytest.mark.postgres
def test_many_rows_are_sampled(many, diagnose):
    with CaptureQueriesContext(connection) as captured:
        [job] = diagnose(BOOKS).jobs

    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"]]
    assert job.sampled
    assert job.rows == pytest.approx(20_000, rel=0.1)
    assert job.share == pytest.approx(0.25, abs=0.02)
    assert len(counts) == 2
    assert all("TABLESAMPLE SYSTEM" in sql for sql in counts)


@pytest.mark.postgres
def test_a_sample_reads_a_few_blocks(many, diagnose):
    with CaptureQueriesContext(connection) as captured:
        diagnose(BOOKS)

    [_, sampled] = [query["sql"] for query in captured if "COUNT(" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sampled.replace('%', '%%')}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Tid Scan" in plan
    assert "Seq Scan" not in plan


@pytest.mark.postgres
def test_what_takes_too_long_is_not_known(many, diagnose, settings, monkeypatch):
    settings.SESSION_CLEANUP_STATS_TIMEOUT_MS = 100
    monkeypatch.setattr(postgresql, "LARGE", 10**9)
    with connection.cursor() as cursor:  # each row takes its time
        cursor.execute("ALTER TABLE testapp_book RENAME TO slow_book")
        cursor.execute(
            "CREATE VIEW testapp_book AS SELECT * FROM slow_book WHERE pg_sleep(0.001) IS NOT NULL"
        )

    diagnosis = diagnose(BOOKS)

    assert diagnosis.jobs[0].rows is None
    assert "step-too-slow" in [finding.slug for finding in diagnosis.findings]
