"""Columns that refer to rows which go must have an index."""

import pytest
from django.db import connection

from session_cleanup.doctor.findings import Severity
from session_cleanup.policies import Aged, Delete, Policy
from tests.doctor.finding import index_on, slugs, the
from tests.doctor.policies import BOOKS, DETACH, ROOMS

POSTGRES = connection.vendor == "postgresql"
UNKNOWN = "CREATE TABLE extra (book uuid REFERENCES testapp_book (id))"
PHOTOS = Policy(name="photos", model="testapp.Photo", select=Aged("taken_at"), action=Delete())


def drop(table, *columns):
    return f'DROP INDEX "{index_on(table, *columns)}"'


def test_models_as_django_makes_them_have_all_their_indexes(db, diagnose):
    assert slugs(diagnose(BOOKS, ROOMS)) == []


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("testapp_chapter", "book_id"),  # goes along
        ("testapp_footnote", "chapter_id"),  # goes along with what goes along
        ("testapp_loan", "book_id"),  # protects
        ("testapp_bookmark", "book_id"),  # loses its reference
        ("testapp_book_tags", "book_id"),  # a hidden model
    ],
)
def test_a_foreign_key_that_lost_its_index(sql, diagnose, table, column):
    if table == "testapp_book_tags":  # the constraint that makes pairs unique begins with it, too
        quote = connection.ops.quote_name
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, table)
        unique = next(n for n, each in found.items() if each["unique"] and not each["primary_key"])
        drop_it = f"ALTER TABLE {table} DROP CONSTRAINT" if POSTGRES else "DROP INDEX"
        sql(f"{drop_it} {quote(unique)}")
    sql(drop(table, column))

    diagnosis = diagnose(BOOKS)

    finding = the("reference-without-index", diagnosis)
    assert (finding.subject, finding.severity) == (f"{table}.{column}", Severity.SERIOUS)
    assert f'ON "{table}" ("{column}")' in finding.migration
    assert diagnosis.exit_status == 1


def test_an_update_needs_no_index_of_what_it_does_not_reach(sql, diagnose):
    sql(drop("testapp_loan", "book_id"))

    assert slugs(diagnose(DETACH)) == []


def test_an_effect_on_related_rows_needs_an_index(sql, diagnose):
    sql(drop("testapp_chapter", "book_id"))

    assert the("reference-without-index", diagnose(DETACH)).subject == "testapp_chapter.book_id"


def test_a_foreign_key_that_only_the_database_knows(sql, diagnose):
    sql(UNKNOWN)

    finding = the("reference-without-index", diagnose(BOOKS))

    assert (finding.subject, finding.migration) == ("extra.book", "")
    how = "CONCURRENTLY " if POSTGRES else ""
    assert finding.cure == f"CREATE INDEX {how}ON extra (book)."
    sql("CREATE INDEX ON extra (book)" if POSTGRES else "CREATE INDEX extra_book ON extra (book)")
    assert slugs(diagnose(BOOKS)) == []


@pytest.mark.parametrize(
    ("index", "serves"),
    [
        ("(book) WHERE book IS NOT NULL", True),
        ("(book, more)", True),
        ("(more, book)", False),
        ("(book) WHERE more = 1", False),
        ("(coalesce(book, book))", False),
    ],
)
def test_which_index_serves(sql, diagnose, index, serves):
    sql(UNKNOWN, "ALTER TABLE extra ADD COLUMN more int", f"CREATE INDEX x ON extra {index}")

    assert slugs(diagnose(BOOKS)) == ([] if serves else ["reference-without-index"])


@pytest.mark.postgres
def test_an_index_that_was_never_finished_serves_nobody(sql, diagnose):
    name = index_on("testapp_chapter", "book_id")
    sql(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass")

    assert f"{name} is invalid" in the("reference-without-index", diagnose(BOOKS)).what


def test_a_generic_relation_is_followed_by_two_columns(sql, diagnose):
    columns = "content_type_id, object_id"

    assert the("reference-without-index", diagnose(PHOTOS)).subject == f"testapp_remark.{columns}"
    sql(f"CREATE INDEX by_object ON testapp_remark ({columns})")
    assert "reference-without-index" not in slugs(diagnose(PHOTOS))


def test_what_two_jobs_share_is_said_once(sql, diagnose):
    sql(drop("testapp_chapter", "book_id"))

    assert slugs(diagnose(BOOKS, DETACH)).count("reference-without-index") == 1
