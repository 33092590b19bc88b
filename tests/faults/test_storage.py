"""What lies under the tables: rows that get new places in mid-walk, and a disk that is full."""

import sqlite3
from contextlib import closing

import pytest
from django.db import connection

from session_cleanup.models import JobRun
from tests.faults.adversaries import TableRewriter
from tests.faults.children import until_batches
from tests.faults.world import execute

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]
FULL = """
CREATE FUNCTION fault_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.job NOT IN ('collaborative-expired', 'drafts') AND NOT (
        NEW.job = 'books' AND NEW.batches < 3 AND NEW.end_state = ''
    ) THEN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fault_full BEFORE INSERT OR UPDATE ON session_cleanup_jobrun
    FOR EACH ROW EXECUTE FUNCTION fault_full();
"""
ROOM_AGAIN = "DROP FUNCTION IF EXISTS fault_full CASCADE"


@pytest.mark.postgres
def test_vacuum_full_in_mid_walk_hides_no_row_and_shows_none_twice(world, start):
    child = start(PAUSE_MS=10, LOCKED_WAIT_MS=10_000)
    until_batches(1, JobRun.objects.all(), child)
    with TableRewriter(world) as rewriter:
        report = child.report()

    assert rewriter.steps > 3
    assert {job["end_state"] for job in report.values()} == {"drained"}, child.errors()
    world.assert_true()


@pytest.fixture
def full_disk(database):
    """From the third batch of the third job on, the history has no room any more."""
    execute(FULL)
    yield
    execute(ROOM_AGAIN)


@pytest.mark.postgres
def test_a_disk_that_is_full_for_the_history_ends_the_run_and_loses_nothing(world, start, finish, full_disk):
    """A batch that can't be counted does not happen; the jobs behind it, and other runs, can't even begin."""
    child = start()
    report = child.report()

    assert child.wait() == 1
    assert {job["end_state"] for job in report.values()} == {"drained", "failed"}, report
    assert "No space left" in report["cars"]["error"]
    assert sum(job["changed"] for job in report.values()) == sum(map(world.changed, world.shapes)) > 0
    world.assert_rows(left=None)

    execute(ROOM_AGAIN)
    finish()
    world.assert_true()
    assert "died" in {run.state for run in JobRun.objects.filter(job="books")}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite: the limit is one of the connection")
def test_a_file_that_may_not_grow_any_more_ends_the_run_and_loses_nothing(world, start, finish):
    child = start(added={"FAULT_MAX_PAGES": str(pages_after_vacuum() + 1)})
    report = child.report()

    assert child.wait() == 1
    assert "full" in " ".join(filter(None, (job["error"] for job in report.values())))
    assert sum(job["changed"] for job in report.values()) == sum(map(world.changed, world.shapes)) > 0
    world.assert_rows(left=None)

    finish()
    world.assert_true()


def pages_after_vacuum():
    """No page is free, so that anything new needs another one."""
    connection.close()
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as file:
        file.execute("VACUUM")
        return file.execute("PRAGMA page_count").fetchone()[0]
