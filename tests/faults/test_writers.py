"""Users at work in the rows of a run: they come back, hold locks, and lock in an order that is not ours."""

import pytest

from session_cleanup.models import JobRun
from tests.engine.running import deadlocks
from tests.faults.adversaries import OppositeOrder, locked, refresher
from tests.faults.children import until, until_batches
from tests.faults.shapes import BOOKS, SESSIONS

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]


def test_no_row_is_touched_that_was_refreshed_meanwhile(world, start):
    child = start(PAUSE_MS=20, LOCK_TIMEOUT_MS=500)
    until_batches(1, JobRun.objects.all(), child)
    with refresher(world):
        report = child.report()

    changed = sum(job["changed"] for job in report.values())
    assert {job["end_state"] for job in report.values()} == {"drained"}
    assert 0 < changed < world.due * len(world.shapes), "nobody came back, or all did"
    world.assert_true()


@pytest.mark.postgres
def test_rows_that_are_locked_for_ever_are_left_and_said_so_and_done_by_the_next_run(world, start, finish):
    """In the middle of a walk; of the books it is a chapter that is locked."""
    kept = {shape: world.middle(shape) for shape in world.shapes}
    rows = [(shape.counted[0], key) for shape, key in kept.items() if shape is not BOOKS]
    chapter = BOOKS.counted[1].model._base_manager.filter(book=kept[BOOKS]).first()
    with locked([*rows, (BOOKS.counted[1], chapter.pk)]):
        report = start(LOCKED_WAIT_MS=100, RETRIES=1).report()
        for job in report.values():
            assert (job["end_state"], job["skipped"]["locked"]) == ("drained_with_skips", 1)
            assert job["changed"] == world.due - 1
    world.assert_rows(left=kept)

    assert {job.changed for job in finish().jobs} == {1}
    world.assert_true()


@pytest.mark.postgres
def test_deadlocks_with_one_who_locks_in_the_opposite_order_are_survived(world, start, finish):
    """We wait long enough for the database to find the deadlock, and soon enough to be its victim."""
    before = deadlocks()
    sooner = {"PGOPTIONS": "-c deadlock_timeout=15ms"}
    patient = {"LOCK_TIMEOUT_MS": 1500, "BATCH_MS": 500}
    child = start(SESSIONS.name, BOOKS.name, PAUSE_MS=20, added=sooner, **patient)
    until_batches(1, JobRun.objects.all(), child)
    with OppositeOrder(world):
        report = child.report()
    ends = {job["end_state"] for job in report.values()}

    until(lambda: deadlocks() > before, "a deadlock")
    assert ends <= {"drained", "drained_with_skips"}, child.errors()
    finish()  # what was skipped, too
    world.assert_true()
