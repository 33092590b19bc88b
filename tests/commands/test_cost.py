"""When nothing is due, a run costs a fixed small number of statements a job."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from session_cleanup.models import Session
from tests.commands.calling import call
from tests.factories import SessionFactory

CLOCK = int(connection.vendor == "postgresql")  # SQLite's clock is this machine's: no statement
# Two looks at the tables, the run's begin and end; its clock, and that of its end.
RUN = 4 + 2 * CLOCK
# Where its last run stopped, its record (begin, end), its lease (take, give back) and one probe.
JOB = 6


def statements(*jobs):
    with CaptureQueriesContext(connection) as captured:
        call(*jobs, "--format", "json")
    return [query["sql"] for query in captured]


@pytest.mark.parametrize(
    ("jobs", "more"),
    [
        (["presentations-blank"], 0),
        (["collaborative-expired"], 0),
        (["after-hours-close"], 0),
        (["after-hours-declines"], 0),
        (["after-hours-ended"], 0),
        (["housekeeping-history"], 0),
        (["housekeeping-reports"], 0),
        (["housekeeping-occurrences"], 0),
        (["after-hours-fingerprints"], 1),  # how far its window reaches
        (["after-hours-close", "after-hours-declines"], 0),
    ],
)
def test_a_no_op_costs_a_fixed_number_of_statements(db, jobs, more):
    statements(*jobs)  # the rows of the leases are made once

    assert len(statements(*jobs)) == RUN + len(jobs) * JOB + more


def test_a_no_op_costs_the_same_on_a_large_table(db):
    Session.objects.bulk_create(
        [session for kind in Session.Kind for session in SessionFactory.build_batch(600, kind=kind)]
    )
    statements("collaborative-expired")

    assert len(statements("collaborative-expired")) == RUN + JOB


def test_a_no_op_counts_nothing(db):
    assert not [sql for sql in statements() if "COUNT(" in sql.upper()]
