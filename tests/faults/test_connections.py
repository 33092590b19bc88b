"""Connections that are cut: before a statement, during it, at COMMIT, and by the server."""

from contextlib import closing

import psycopg
import pytest

from tests.faults.adversaries import Terminator, locked
from tests.faults.children import until
from tests.faults.proxy import Cut, CuttingProxy, commits
from tests.faults.servers import pooler
from tests.faults.shapes import SESSIONS

pytestmark = [pytest.mark.fault, pytest.mark.postgres, pytest.mark.timeout(120)]
CUTS = 3  # of each kind; each costs the run a pause


def cutting(world):
    """Cut some of the commits of batches, and some of their other statements, in any of the three ways."""
    left = {True: CUTS, False: CUTS}
    share = {True: 0.3, False: 0.05}

    def decide(sql):
        at_commit = commits(sql)
        if not left[at_commit] or world.chance.random() > share[at_commit]:
            return None
        left[at_commit] -= 1
        return world.chance.choice(list(Cut))

    return CuttingProxy(decide)


def test_a_connection_that_is_cut_leaves_each_batch_done_once_or_not_at_all(world, start):
    """Whether a batch whose COMMIT got no answer has happened, only the database knows."""
    with cutting(world) as proxy:
        child = start(added={"DATABASE_URL": proxy.url})
        report = child.report()

    assert len(proxy.cuts) > CUTS
    assert {job["end_state"] for job in report.values()} == {"drained"}, child.errors()
    assert {name: job["changed"] for name, job in report.items()} == dict.fromkeys(report, world.due)
    world.assert_true()


def test_connections_that_an_administrator_ends_are_taken_up_again(world, start):
    """A row that is locked keeps the run at work until the administrator has had enough."""
    with locked([(SESSIONS.counted[0], world.middle(SESSIONS))]):
        child = start(PAUSE_MS=5, LOCKED_WAIT_MS=30_000, added={"PGAPPNAME": "cleanup"})
        with Terminator("cleanup", times=4) as administrator:
            until(lambda: administrator.ended >= administrator.times, "four connections ended", seconds=30)
    report = child.report()

    assert {job["end_state"] for job in report.values()} == {"drained"}, child.errors()
    world.assert_true()


def test_processes_behind_a_pooler_share_two_connections(world, start, finish):
    """Transaction pooling: each transaction may be on another connection than the one before."""
    with pooler() as url:
        children = [start(added={"DATABASE_URL": url}, PAUSE_MS=3) for _ in range(2)]
        reports = [child.report() for child in children]
        with closing(psycopg.connect(url, autocommit=True)) as pooled:
            for name in ("lock_timeout", "statement_timeout", "default_transaction_isolation"):
                left_behind = "SELECT setting IS DISTINCT FROM reset_val FROM pg_settings WHERE name = %s"
                assert pooled.execute(left_behind, [name]).fetchone() == (False,)

    for shape in world.shapes:
        assert {report[shape.name]["end_state"] for report in reports} <= {"drained", "busy"}
    finish()
    world.assert_true()
