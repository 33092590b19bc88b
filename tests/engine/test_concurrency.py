"""Other connections at work in the same rows: refreshed, locked, deadlocked, cut off."""

import threading
import time
from contextlib import ExitStack, suppress
from datetime import timedelta

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.db.models import Q

from session_cleanup.engine import runner
from session_cleanup.engine.acting import Acting
from session_cleanup.engine.batches import Batches
from session_cleanup.engine.counts import Totals
from session_cleanup.engine.ladder import Ladder
from session_cleanup.engine.leases import Lease
from session_cleanup.engine.report import RunRequest
from session_cleanup.exceptions import DatabaseUnavailable, LeaseBusy
from session_cleanup.models import CleanupLease, JobRun, Session, SessionMember
from session_cleanup.policies import Aged, Delete, Policy
from tests.engine.running import a_wait_for_a_lock, another_connection, deadlocks, lock, until
from tests.factories import DAY, NOW, SECOND, MemberFactory, SessionFactory, UserFactory
from tests.testapp.models import Author, Book
from tests.testapp.shapes import House, Meter

JOB = "collaborative-expired"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run():
    return lambda *jobs, **options: runner.run(RunRequest(jobs=jobs, **options), now=NOW)


def test_a_session_refreshed_between_finding_and_acting_is_kept(run, between_finding_and_acting):
    row = SessionFactory(expires_at=NOW - SECOND)
    other = SessionFactory(expires_at=NOW - SECOND)
    between_finding_and_acting(lambda: Session.objects.filter(pk=row.pk).update(expires_at=NOW + DAY))

    report = run(JOB)

    assert list(Session.objects.active()) == [row]
    assert report.jobs[0].changed == 1
    assert not Session.objects.active().contains(other)


def test_a_row_refreshed_through_another_table_is_kept(run, declare, between_finding_and_acting):
    author = Author.objects.create(is_active=False)
    kept = Book.objects.create(author=author, read_at=NOW - DAY)
    declare(
        Policy(
            name="books-of-the-inactive",
            model="testapp.Book",
            where=Q(author__is_active=False),
            select=Aged("read_at"),
            action=Delete(),
        )
    )
    between_finding_and_acting(lambda: Author.objects.update(is_active=True))

    report = run("books-of-the-inactive")

    assert list(Book.objects.all()) == [kept]
    assert report.jobs[0].changed == 0


@pytest.mark.postgres
def test_locked_rows_are_passed_over_and_counted_as_skipped(run, settings):
    settings.SESSION_CLEANUP_LOCKED_WAIT_MS = 50
    locked, free = (SessionFactory(expires_at=NOW - SECOND) for _ in range(2))
    with another_connection() as other:
        other(lock(locked))
        report = run(JOB)

    assert list(Session.objects.active()) == [locked]
    assert not Session.objects.active().contains(free)
    assert report.jobs[0].end_state == "drained_with_skips"
    assert report.jobs[0].skipped == {"locked": 1}
    assert report.exit_status == 0


@pytest.mark.postgres
def test_a_row_that_is_unlocked_in_time_is_waited_for(run, settings):
    settings.SESSION_CLEANUP_LOCKED_WAIT_MS = 5000
    row = SessionFactory(expires_at=NOW - SECOND)
    with another_connection() as other:
        other(lock(row))
        done = []
        thread = threading.Thread(target=lambda: (done.append(run(JOB)), connections.close_all()))
        thread.start()
        time.sleep(0.3)
    thread.join(20)

    assert done[0].jobs[0].changed == 1
    assert done[0].jobs[0].skipped == {}


@pytest.mark.postgres
def test_a_member_inserted_while_its_session_is_closed_goes_offline_too(run, monkeypatch):
    """Its deferred foreign key locks the session only at its commit, which is after ours."""
    row = SessionFactory(expires_at=NOW - SECOND)
    user = UserFactory()
    commits_late = ExitStack()
    act = Acting.act_at_once

    def insert_meanwhile(self, rows):
        other = commits_late.enter_context(another_connection())
        other(lambda: SessionMember.objects.create(session=row, user=user, is_online=True))
        return act(self, rows)

    sweep = Batches.sweep

    def committed_by_then(self, keys):
        commits_late.close()
        sweep(self, keys)

    monkeypatch.setattr(Acting, "act_at_once", insert_meanwhile)
    monkeypatch.setattr(Batches, "sweep", committed_by_then)
    report = run(JOB)

    assert not SessionMember.objects.get().is_online
    assert report.jobs[0].related == {"session_cleanup.SessionMember": 1}
    assert JobRun.objects.get().related == {"session_cleanup.SessionMember": 1}


@pytest.mark.postgres
def test_the_sweep_leaves_a_session_alone_that_was_opened_again(run, monkeypatch):
    row = SessionFactory(expires_at=NOW - SECOND)
    member = MemberFactory(session=row)
    sweep = Batches.sweep

    def reopened(self, keys):
        Session.objects.update(is_active=True, ended_at=None, expires_at=NOW + DAY)
        SessionMember.objects.update(is_online=True)
        sweep(self, keys)

    monkeypatch.setattr(Batches, "sweep", reopened)
    monkeypatch.setattr(Ladder, "_is_alone", lambda self: False)  # else there is nothing to sweep
    run(JOB)

    member.refresh_from_db()
    assert member.is_online


@pytest.mark.postgres
def test_a_locked_child_splits_the_batch_and_only_its_parent_is_skipped(run, settings):
    settings.SESSION_CLEANUP_LOCKED_WAIT_MS = 20
    settings.SESSION_CLEANUP_RETRIES = 0
    rows = [SessionFactory(expires_at=NOW - SECOND) for _ in range(4)]
    members = [MemberFactory(session=row) for row in rows]
    with another_connection() as other:
        other(lock(members[2]))
        report = run(JOB)

    assert list(Session.objects.active()) == [rows[2]]
    assert report.jobs[0].changed == 3
    assert report.jobs[0].related == {"session_cleanup.SessionMember": 3}
    assert report.jobs[0].skipped == {"locked": 1}


@pytest.mark.postgres
def test_a_deadlock_is_survived(run, settings):
    """The adversary locks a member first and its session then; we lock the session first, and give way."""
    settings.SESSION_CLEANUP_LOCK_TIMEOUT_MS = settings.SESSION_CLEANUP_BATCH_MS = 5000
    member = MemberFactory(session__expires_at=NOW - SECOND)
    holds, before = threading.Event(), deadlocks()

    def adversary() -> None:
        try:
            with transaction.atomic():
                look_for_deadlocks_after("10s")
                lock(member)()
                holds.set()
                until(a_wait_for_a_lock, "a batch that waits")
                lock(member.session)()
        finally:
            connections.close_all()

    look_for_deadlocks_after("500ms")
    thread = threading.Thread(target=adversary)
    thread.start()
    assert holds.wait(10)
    report = run(JOB)
    thread.join(20)
    connection.close()

    until(lambda: deadlocks() > before, "the deadlock in the statistics")
    assert report.jobs[0].error is None
    assert report.jobs[0].changed == 1
    assert not SessionMember.objects.get().is_online


def look_for_deadlocks_after(duration):
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('deadlock_timeout', %s, false)", [duration])


@pytest.mark.postgres
def test_a_connection_that_is_cut_in_mid_batch_is_taken_up_again(run, monkeypatch):
    for _ in range(3):
        MemberFactory(session__expires_at=NOW - SECOND)
    act = Acting.act_at_once
    cut = []

    def cut_once(self, rows):
        done = act(self, rows)
        if not cut:
            cut.append(True)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return done

    monkeypatch.setattr(Acting, "act_at_once", cut_once)
    report = run(JOB, batch_size=2)

    assert cut
    assert report.jobs[0].error is None
    assert report.jobs[0].changed == 3 == JobRun.objects.get().changed
    assert not Session.objects.active().filter(expires_at__lt=NOW).exists()


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("walk", ["keyset", "heap"])
def test_a_connection_may_be_lost_before_any_statement_of_a_run(run, settings, walk):
    """Until the run is in the history nothing was begun; from then on every job is done."""
    settings.SESSION_CLEANUP_WALK = walk
    statement, began, reached = 0, False, True
    while reached:
        Session.objects.all().delete()
        CleanupLease.objects.all().delete()  # it is the first run of the job
        SessionFactory.create_batch(3, expires_at=NOW - SECOND)
        numbers = iter(range(statement, -1, -1))

        def cut(execute, sql, params, many, context, numbers=numbers):
            if next(numbers, None) == 0:
                with (
                    suppress(OperationalError),
                    psycopg.connect(**connection.get_connection_params()) as other,
                ):
                    other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
            return execute(sql, params, many, context)

        try:
            with connection.execute_wrapper(cut):
                job = run(JOB).jobs[0]
        except (DatabaseError, DatabaseUnavailable):
            connection.close()
            assert not began
            assert Session.objects.active().count() == 3
        else:
            began = True
            connection.close()
            record = JobRun.objects.latest("pk")
            assert (job.end_state, job.changed, job.error) == ("drained", 3, None), statement
            assert (record.end_state, record.changed, record.run.state) == ("drained", 3, "ok")
        reached = next(numbers, None) is None
        statement += 1

    assert statement > 10


@pytest.mark.postgres
def test_a_commit_whose_answer_is_lost_is_not_counted_twice(run, monkeypatch):
    for _ in range(3):
        SessionFactory(expires_at=NOW - SECOND)
    batch = Batches.run_whole
    lost = []

    def committed_but_cut(self, part, cursor, **options):
        locked = batch(self, part, cursor, **options)
        if not lost:
            lost.append(self.counts.totals)
            self.counts.totals = Totals()  # as if the answer had never come
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return locked

    monkeypatch.setattr(Batches, "run_whole", committed_but_cut)
    report = run(JOB, batch_size=2)

    assert lost
    assert report.jobs[0].changed == 3
    assert JobRun.objects.get().changed == 3


@pytest.mark.postgres
def test_who_comes_while_a_batch_is_under_way_is_told_at_once_that_the_job_is_busy():
    """The batch has the row of the lease locked, for as long as it takes."""
    lease = Lease.take(JOB, "default", run_id=1)
    with another_connection() as other:
        other(lease.renew)
        asked = time.monotonic()
        with pytest.raises(LeaseBusy):
            Lease.take(JOB, "default", run_id=2)

    assert time.monotonic() - asked < 2


def test_a_zombie_whose_lease_was_taken_over_cannot_commit(run, between_finding_and_acting):
    row = SessionFactory(expires_at=NOW - SECOND)

    def another_took_over() -> None:
        CleanupLease.objects.update(token="00000000-0000-0000-0000-000000000001")

    between_finding_and_acting(another_took_over)

    report = run(JOB)

    row.refresh_from_db()
    assert row.is_active
    assert (report.jobs[0].end_state, report.exit_status) == ("lease_lost", 1)
    assert "SESSION_CLEANUP_LEASE_SECONDS" in report.jobs[0].error
    assert str(CleanupLease.objects.get().token).endswith("1")


def test_a_lease_that_ended_in_a_slow_statement_is_still_ours_if_nobody_took_it(
    run, between_finding_and_acting
):
    SessionFactory(expires_at=NOW - SECOND)
    between_finding_and_acting(lambda: CleanupLease.objects.update(expires_at=NOW - timedelta(days=400)))

    assert run(JOB).jobs[0].changed == 1


def test_batches_refuse_to_be_part_of_a_larger_transaction(run):
    SessionFactory(expires_at=NOW - SECOND)

    with transaction.atomic():
        report = run(JOB)

    assert report.exit_status == 1
    assert "durable" in report.jobs[0].error
    assert Session.objects.active().count() == 1


def test_a_foreign_key_that_is_checked_at_the_end_is_checked_inside_the_batch(run, declare):
    """A deferred constraint: the batch is rolled back, and the row counts as protected."""
    house = House.objects.create(sold_at=NOW - DAY)
    Meter.objects.create(house=house)
    declare(Policy(name="old-houses", model="testapp.House", select=Aged("sold_at"), action=Delete()))

    job = run("old-houses").jobs[0]

    assert (job.changed, job.skipped, job.end_state) == (0, {"protected": 1}, "drained_with_skips")
    assert (JobRun.objects.get().changed, JobRun.objects.get().skipped) == (0, {"protected": 1})
    assert list(House.objects.all()) == [house]


@pytest.mark.postgres
def test_batches_are_read_committed_whatever_the_connection_says(run, between_finding_and_acting):
    row = SessionFactory(expires_at=NOW - SECOND)
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = 'repeatable read'")
    try:
        between_finding_and_acting(lambda: Session.objects.filter(pk=row.pk).update(title="new"))
        report = run(JOB)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET default_transaction_isolation")

    assert report.jobs[0].changed == 1


@pytest.mark.postgres
def test_a_batch_bounds_its_lock_waits_and_statements_and_leaves_no_trace(run, monkeypatch):
    SessionFactory(expires_at=NOW - SECOND)
    seen = []
    act = Acting.act_at_once

    def look(self, rows):
        with connection.cursor() as cursor:
            for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
                cursor.execute(f"SHOW {name}")
                seen.append(cursor.fetchone()[0])
        return act(self, rows)

    monkeypatch.setattr(Acting, "act_at_once", look)
    run(JOB)

    assert seen == ["15ms", "20s", "20s"]
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone()[0] == "0"
