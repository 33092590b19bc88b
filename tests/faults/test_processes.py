"""Processes that are killed, that stand still until another has their job, and that all want the same job."""

import signal
import sqlite3
import time
from contextlib import closing

import pytest
from django.db import connection
from django.db.models.functions import Now

from session_cleanup.models import CleanupLease, JobRun
from tests.engine.running import a_wait_for_a_lock
from tests.faults.adversaries import locked
from tests.faults.children import until, until_batches
from tests.faults.shapes import DRAFTS, SESSIONS
from tests.faults.world import on_postgres

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]
KILLS = 3  # a world


def test_killed_at_random_moments_every_due_row_is_changed_exactly_once(world, start, finish):
    for number in range(KILLS):
        known = list(JobRun.objects.values_list("pk", flat=True))
        child = start(PAUSE_MS=20)
        if number:  # while it works; else at any moment, before it begins too
            job = world.chance.choice(world.shapes[:-1]).name  # with time left until the end of the run
            new = JobRun.objects.filter(job=job).exclude(pk__in=known)
            until_batches(world.chance.randint(1, 3), new, child)
        time.sleep(world.chance.uniform(0, 0.02 if number else 0.5))
        child.end()
        world.time_passes()
    finish()

    assert "died" in {run.state for run in JobRun.objects.all()}
    world.assert_true()


def test_of_four_processes_one_works_at_each_job(world, start):
    children = [start(PAUSE_MS=3) for _ in range(4)]
    reports = [child.report() for child in children]

    assert {child.wait() for child in children} <= {0, 4}
    for shape in world.shapes:
        assert "drained" in {report[shape.name]["end_state"] for report in reports}
    world.assert_true()


@pytest.mark.slow
def test_a_zombie_finds_its_lease_taken_and_changes_nothing_more(world, start, finish):
    """Stopped between two batches, and (where others may write meanwhile) inside one."""
    zombies = {DRAFTS.name: stopped_between_batches(start)}
    if on_postgres():
        zombies[SESSIONS.name] = stopped_in_mid_batch(world, start)
    until(lambda: not CleanupLease.objects.filter(expires_at__gt=Now()).exists(), "the end of the leases")

    asleep = dict(zombies)

    def wake(job, *_):
        """In the middle of the heir's run, while it has the lease."""
        if zombie := asleep.pop(job, None):
            zombie.send(signal.SIGCONT)
            assert zombie.report()[job]["end_state"] == "lease_lost", zombie.errors()

    finish(observer=wake)

    assert not asleep
    world.assert_true()


def stopped_between_batches(start):
    zombie = start(DRAFTS.name, PAUSE_MS=200, added={"PGAPPNAME": "between"})
    until_batches(1, JobRun.objects.filter(job=DRAFTS.name), zombie)

    def stop():
        zombie.send(signal.SIGSTOP)
        time.sleep(0.02)
        if nothing_open("between"):
            return True
        zombie.send(signal.SIGCONT)
        return False

    until(stop, "a moment between two batches")
    return zombie


def stopped_in_mid_batch(world, start):
    """It waits for the lock of a member, is stopped there, and then the lock is free."""
    last = SESSIONS.due(world.line).order_by("expires_at").last()
    with locked([(SESSIONS.counted[1], member) for member in last.members.values_list("pk", flat=True)]):
        zombie = start(SESSIONS.name, LOCK_TIMEOUT_MS=10_000, STATEMENT_TIMEOUT_MS=3000)
        until(a_wait_for_a_lock, "a batch that waits")
        zombie.send(signal.SIGSTOP)
    return zombie


def nothing_open(name):
    """Whether that process has no transaction open."""
    if on_postgres():
        with connection.cursor() as cursor:
            query = "SELECT every(state = 'idle') FROM pg_stat_activity WHERE application_name = %s"
            cursor.execute(query, [name])
            return cursor.fetchone()[0]
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True
