"""Whether an index serves a policy is read off the database, not off the models."""

from pathlib import Path

import pytest
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.models import Q

import session_cleanup
from session_cleanup.doctor import additions
from session_cleanup.doctor.examination import examine
from session_cleanup.doctor.findings import Severity
from session_cleanup.engine.walks import KeysetWalk
from session_cleanup.policies import Aged, Delete, Policy
from session_cleanup.policies.claims import Claims
from tests.doctor.finding import index_on, slugs, the
from tests.doctor.policies import BOOKS, CLOSED, ENDED
from tests.factories import DAY, NOW
from tests.testapp.models import Book

LAST = max(path.stem for path in (Path(session_cleanup.__file__).parent / "migrations").glob("0*.py"))
POSTGRES = connection.vendor == "postgresql"
BY_CLOSED = "CREATE INDEX by_closed ON testapp_book (closed_at)"


def job(diagnosis):
    [job] = diagnosis.jobs
    return job


def books(count, **values):
    Book.objects.bulk_create([Book(**values) for _ in range(count)])


def test_the_shipped_policies_are_served(db):
    diagnosis = examine(now=NOW)

    # SQLite finds nothing in order behind a boolean, and the index of that job has one.
    expected = [] if POSTGRES else ["collaborative-expired"]
    assert [job.name for job in diagnosis.jobs if job.index is None] == expected
    assert [finding.subject for finding in diagnosis.findings if finding.slug == "index-missing"] == expected
    assert set(slugs(diagnosis)) <= {"index-missing"}
    assert diagnosis.exit_status == 0


def test_the_question_is_the_very_statement_of_the_walk(db, diagnose, django_assert_num_queries):
    with django_assert_num_queries(1) as captured:
        KeysetWalk(BOOKS, Claims("default", NOW)).step(1000)

    [question] = job(diagnose(BOOKS)).questions
    shape = question.sql.partition("WHERE")[0]

    assert captured[0]["sql"].startswith(shape)
    assert "LIMIT 200" in question.sql
    assert any("testapp_book" in line for line in question.plan)


def test_an_index_on_the_clock_serves(db, diagnose):
    diagnosis = diagnose(BOOKS)

    assert job(diagnosis).index == index_on("testapp_book", "read_at")
    assert slugs(diagnosis) == []


def test_no_index_is_advice_while_the_table_is_small(db, diagnose):
    diagnosis = diagnose(CLOSED)

    assert the("index-missing", diagnosis).severity is Severity.ADVICE
    assert (job(diagnosis).index, diagnosis.exit_status) == (None, 0)


def test_no_index_is_serious_on_a_large_table(db, diagnose):
    books(10_000)

    diagnosis = diagnose(CLOSED)

    assert the("index-missing", diagnosis).severity is Severity.SERIOUS
    assert diagnosis.exit_status == 1


def test_an_index_made_by_hand_serves(sql, diagnose):
    sql(BY_CLOSED)

    assert slugs(diagnose(CLOSED)) == []


def test_an_index_that_was_dropped(sql, diagnose):
    sql(f'DROP INDEX "{index_on("testapp_book", "read_at")}"')

    diagnosis = diagnose(BOOKS)

    assert slugs(diagnosis) == ["index-not-migrated"]
    assert diagnosis.exit_status == 1


@pytest.mark.postgres
def test_an_index_that_was_never_finished(sql, diagnose):
    sql(
        BY_CLOSED,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_closed'::regclass",
    )

    diagnosis = diagnose(CLOSED)

    assert "by_closed" in the("index-invalid", diagnosis).what
    assert slugs(diagnosis) == ["index-invalid"]
    assert diagnosis.exit_status == 1


def test_a_partial_index_with_another_condition(sql, diagnose):
    sql(f"{BY_CLOSED} WHERE is_active")

    diagnosis = diagnose(CLOSED)

    assert "is_active" in the("index-partial", diagnosis).what
    assert slugs(diagnosis) == ["index-partial"]


def test_a_partial_index_with_the_condition_of_the_policy(sql, diagnose):
    sql(f"{BY_CLOSED} WHERE is_active")
    policy = Policy(
        name="x", model="testapp.Book", where=Q(is_active=True), select=Aged("closed_at"), action=Delete()
    )

    assert slugs(diagnose(policy)) == []


@pytest.mark.skipif(POSTGRES, reason="PostgreSQL takes it, with statistics or without")
def test_an_index_that_the_planner_does_not_take(sql, diagnose):
    """SQLite takes any column that is compared with = to be the best way, until it has statistics."""
    sql("CREATE INDEX by_title ON testapp_book (title)", f"{BY_CLOSED} WHERE is_active")
    books(10_000, title="same", closed_at=NOW - DAY)
    policy = Policy(
        name="x",
        model="testapp.Book",
        where=Q(title="same", is_active=True),
        select=Aged("closed_at"),
        action=Delete(),
    )

    assert the("index-not-used", diagnose(policy)).what.startswith("The index by_closed leads")
    sql("ANALYZE testapp_book")
    assert "index-not-used" not in slugs(diagnose(policy))


# The migration.


def leaves():
    return MigrationLoader(None).graph.leaf_nodes("session_cleanup")


def migration_of(text):
    names = {}
    exec(compile(text, "migration", "exec"), names)
    return names["Migration"]


def test_the_models_of_others_get_their_index_from_an_app_of_yours(sql, diagnose):
    finding = the("index-missing", diagnose(ENDED))

    migration = migration_of(finding.migration)
    [operation] = migration.operations

    assert migration.dependencies == [("session_cleanup", LAST)]
    assert isinstance(operation, migrations.RunSQL)
    assert ("CONCURRENTLY" in operation.sql) == POSTGRES
    assert getattr(migration, "atomic", True) != POSTGRES
    sql(operation.sql.replace("CONCURRENTLY ", ""))
    assert slugs(diagnose(ENDED)) == []
    sql(operation.reverse_sql.replace("CONCURRENTLY ", ""))
    assert slugs(diagnose(ENDED)) == ["index-missing"]


@pytest.mark.django_db(transaction=True)
def test_a_model_of_yours_gets_its_index_beside_writers(diagnose, monkeypatch, tmp_path):
    monkeypatch.setattr(additions, "OUR_OWN", tmp_path)  # as if session_cleanup were the project's own
    finding = the("index-missing", diagnose(ENDED))
    assert finding.migration.startswith(f"# session_cleanup/migrations/{int(LAST[:4]) + 1:04}_")

    migration = migration_of(finding.migration)("9999_x", "session_cleanup")
    [operation] = migration.operations
    assert type(operation).__name__ == ("AddIndexConcurrently" if POSTGRES else "AddIndex")
    state = MigrationLoader(connection).project_state()
    with connection.schema_editor(atomic=migration.atomic) as editor:
        migration.apply(state.clone(), editor)
    try:
        assert slugs(diagnose(ENDED)) == []
    finally:
        with connection.schema_editor(atomic=migration.atomic) as editor:
            migration.unapply(state.clone(), editor)
