"""The run as a whole: its history, other databases, and failures that stay with their job."""

import logging

import pytest
from django.db import DatabaseError
from django.db.models import Q

from session_cleanup.engine import runner
from session_cleanup.engine.batches import Batches
from session_cleanup.engine.counts import Counts, Totals
from session_cleanup.engine.drain import Drain
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import Claim, CleanupLease, CleanupRun, Hold, JobRun, Session
from session_cleanup.policies import Aged, Deactivate, Delete, Policy, Update
from session_cleanup.policies.registry import jobs
from tests.factories import DAY, NOW, SECOND, DeclineFactory, SessionFactory
from tests.testapp.models import Book, Bookmark

BOTH = pytest.mark.django_db(databases=["default", "other"])
JOB = "collaborative-expired"


class HistoryElsewhere:
    """A router that keeps the history of runs in the database "other"."""

    def db_for_write(self, model, **hints):
        return "other" if model in (CleanupRun, JobRun) else None

    db_for_read = db_for_write


def execute(*names, **options):
    return runner.run(RunRequest(jobs=names, **options), now=NOW)


def test_a_run_and_its_jobs_are_written_down(run):
    SessionFactory(expires_at=NOW - SECOND)

    report = run(JOB, trigger="test", actor="me", max_rows=7)

    record = CleanupRun.objects.get()
    assert (record.pk, record.status, record.exit_status) == (report.run, "ok", 0)
    assert (record.trigger, record.actor) == ("test", "me")
    assert record.options == {"jobs": [JOB], "max_rows": 7}
    assert record.finished_at
    job = record.jobs.get()
    assert (job.job, job.end_state, job.changed, job.batches, job.walk) == (JOB, "drained", 1, 1, "keyset")
    assert (job.cutoff, job.database, job.action) == (NOW, "default", "deactivate")
    assert job.state == "drained"
    assert job.heartbeat_at


def test_a_failed_job_does_not_stop_the_others_and_is_logged_whole(run, monkeypatch, caplog):
    drain = Drain.run

    def fail_one(self):
        if self.batches.policy.name == "after-hours-declines":
            raise RuntimeError("no more declines")
        return drain(self)

    monkeypatch.setattr(Drain, "run", fail_one)
    SessionFactory(expires_at=NOW - SECOND)
    DeclineFactory(last_declined_at=NOW - 99 * DAY)

    report = run()

    ends = {job.name: job.end_state for job in report.jobs}
    assert ends.pop("after-hours-declines") == "failed"
    assert set(ends.values()) == {"drained"}
    assert (report.status, report.exit_status) == ("failed", 1)
    failed = JobRun.objects.get(end_state="failed")
    assert (failed.job, failed.error) == ("after-hours-declines", "RuntimeError: no more declines.")
    assert CleanupRun.objects.get().status == "failed"
    assert any(record.exc_info and "no more declines" in record.exc_text for record in caplog.records)


def test_what_cannot_be_written_to_the_history_is_not_silent(run, monkeypatch):
    SessionFactory(expires_at=NOW - SECOND)

    def disk_full(self, cursor, walk):
        raise DatabaseError("could not extend file: No space left on device")

    monkeypatch.setattr(Counts, "entry", disk_full)

    report = run(JOB)

    assert report.exit_status == 1
    assert "No space left" in report.jobs[0].error
    assert Session.objects.active().count() == 1  # the batch went with its record


def test_a_count_that_this_process_never_learned_stays_in_the_history(run, monkeypatch):
    """The batch committed, its answer was lost, and the database could not be asked again."""
    SessionFactory.create_batch(2, expires_at=NOW - SECOND)
    batch = Batches.run_whole

    def committed_but_cut(self, part, cursor, **options):
        batch(self, part, cursor, **options)
        self.counts.totals, self.counts.unsure = Totals(), True
        raise DatabaseError("gone for good")

    def cannot_ask(self):
        if self.unsure:
            raise DatabaseError("still gone")

    monkeypatch.setattr(Batches, "run_whole", committed_but_cut)
    monkeypatch.setattr(Counts, "settle", cannot_ask)
    report = run(JOB)

    assert report.jobs[0].end_state == "failed"
    job = JobRun.objects.get()
    assert (job.changed, job.batches, job.end_state) == (2, 1, "failed")


@BOTH
def test_the_history_may_live_in_another_database(settings):
    settings.DATABASE_ROUTERS = [HistoryElsewhere()]
    SessionFactory.create_batch(3, expires_at=NOW - SECOND)

    report = execute(JOB, batch_size=2)

    assert report.jobs[0].changed == 3
    record = JobRun.objects.using("other").get()
    assert (record.changed, record.end_state, record.batches) == (3, "drained", 2)
    assert not JobRun.objects.using("default").exists()
    assert CleanupLease.objects.using("default").filter(job=JOB).exists()


@BOTH
def test_a_job_runs_in_the_database_it_is_told(declare):
    here, there = (Book.objects.using(using).create(read_at=NOW - DAY) for using in ("default", "other"))
    declare(
        Policy(name="books", model="testapp.Book", select=Aged("read_at"), action=Delete(), database="other")
    )

    assert execute("books").jobs[0].database == "other"

    assert Book.objects.contains(here)
    assert not Book.objects.using("other").filter(pk=there.pk).exists()
    assert CleanupLease.objects.using("other").filter(job="books").exists()

    assert execute("books", database="default").jobs[0].changed == 1
    assert not Book.objects.exists()


@BOTH
def test_a_hold_counts_in_the_database_of_its_row(declare):
    held = Book.objects.using("other").create(read_at=NOW - DAY)
    Hold.objects.place(held)
    declare(
        Policy(name="books", model="testapp.Book", select=Aged("read_at"), action=Delete(), database="other")
    )

    assert execute("books").jobs[0].skipped == {"held": 1}
    assert Hold.objects.using("other").count() == 1


def test_the_log_line_of_a_run_names_each_count(run, caplog):
    caplog.set_level(logging.INFO, "session_cleanup")
    DeclineFactory(last_declined_at=NOW - 99 * DAY)

    report = run(*(job.name for job in jobs() if job.preset == "after_hours"))

    assert caplog.records[-1].getMessage() == (
        f"cleanup finished run={report.run} status=ok expired_sessions_closed=0 old_declines_deleted=1 "
        "orphaned_fingerprints_deleted=0 orphaned_profiles_deleted=0 after_hours_ended_deleted=0"
    )


def test_what_one_job_makes_due_is_due_in_the_next_run(run, declare):
    book = Book.objects.create(read_at=NOW - DAY)
    declare(
        Policy(
            name="retire",
            model="testapp.Book",
            select=Aged("read_at"),
            where=Q(is_active=True),
            action=Deactivate(),
        ),
        Policy(
            name="remove",
            model="testapp.Book",
            select=Aged("read_at"),
            where=Q(is_active=False),
            action=Delete(),
        ),
    )

    assert [job.due for job in run(dry_run=True).jobs[:2]] == [1, 0]
    assert [job.changed for job in run().jobs[:2]] == [1, 0]
    assert Book.objects.contains(book)
    assert [job.changed for job in run().jobs[:2]] == [0, 1]
    assert not Claim.objects.exists()


def test_a_related_effect_is_a_change_too_and_leaves_the_row_to_no_later_job(run, declare):
    """A bookmark that loses its book because that is deleted is not also moved by the second job."""
    book = Book.objects.create(read_at=NOW - DAY)
    mark = Bookmark.objects.create(book=book, placed_at=NOW - DAY)
    declare(
        Policy(name="books", model="testapp.Book", select=Aged("read_at"), action=Delete()),
        Policy(
            name="marks",
            model="testapp.Bookmark",
            select=Aged("placed_at"),
            action=Update({"placed_at": None}),
        ),
    )

    assert [job.due for job in run(dry_run=True).jobs[:2]] == [1, 0]
    assert [job.changed for job in run().jobs[:2]] == [1, 0]
    mark.refresh_from_db()
    assert (mark.book, mark.placed_at) == (None, NOW - DAY)


def test_what_a_batch_writes_down_does_not_hide_its_rows_from_its_own_effect(run, declare):
    """An earlier job changed other bookmarks, a later one looks at them, and this one's are its own."""
    book = Book.objects.create(read_at=NOW - DAY)
    loose, kept = (Bookmark.objects.create(book=each, placed_at=NOW - DAY) for each in (None, book))
    declare(
        Policy(
            name="loose-marks",
            model="testapp.Bookmark",
            where=Q(book__isnull=True),
            select=Aged("placed_at"),
            action=Update({"placed_at": None}),
        ),
        Policy(
            name="retire",
            model="testapp.Book",
            where=Q(is_active=True),
            select=Aged("read_at"),
            action=Deactivate(related={"bookmarks": {"placed_at": None}}),
        ),
        Policy(name="marks", model="testapp.Bookmark", select=Aged("placed_at"), action=Delete()),
    )

    seen, job = run(dry_run=True).jobs[1], run().jobs[1]

    assert (seen.due, seen.related) == (job.changed, job.related) == (1, {"testapp.Bookmark": 1})
    assert {mark.placed_at for mark in Bookmark.objects.all()} == {None}
    assert set(Bookmark.objects.all()) == {loose, kept}


def test_claims_of_a_run_that_died_are_removed_by_the_next(run, declare):
    died = CleanupRun.objects.create(trigger="x", host="x", pid=1, started_at=NOW - 99 * DAY)
    Claim.objects.create(run_id=died.pk, model="testapp.Book", object_pk="1")
    test_what_one_job_makes_due_is_due_in_the_next_run(run, declare)

    assert not Claim.objects.exists()
