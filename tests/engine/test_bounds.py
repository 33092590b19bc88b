"""What bounds a batch, each bound met for real: lock waits, statements, attempts."""

import threading

import pytest
from django.db import connection

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import Session, SessionMember
from session_cleanup.policies.actions import Update
from tests.engine.running import JOB, another, sql
from tests.factories import NOW, SECOND, MemberFactory, SessionFactory

pytestmark = pytest.mark.django_db(transaction=True)


def run():
    return runner.run(RunRequest(jobs=(JOB,)), now=NOW).jobs[0]


def locked(member, holder):
    holder.set_autocommit(False)
    sql(f"SELECT 1 FROM {SessionMember._meta.db_table} WHERE id = %s FOR UPDATE", member.pk, using=holder)


@pytest.mark.postgres
@pytest.mark.parametrize(("lock_ms", "in_trouble"), [(15, True), (5000, False)])
def test_a_batch_waits_for_a_lock_as_long_as_the_setting_says(settings, caplog, lock_ms, in_trouble):
    settings.SESSION_CLEANUP_LOCK_TIMEOUT_MS = lock_ms
    member = MemberFactory(session__expires_at=NOW - SECOND)
    with another() as holder:
        locked(member, holder)
        holder.inc_thread_sharing()
        release = threading.Timer(0.5, holder.rollback)
        release.start()
        job = run()
        release.join()

    assert (job.end_state, job.changed) == ("drained", 1)
    assert ("trouble=LOCKED" in caplog.text) is in_trouble


@pytest.mark.postgres
def test_a_batch_is_tried_again_as_often_as_the_setting_says(settings, caplog):
    settings.SESSION_CLEANUP_LOCKED_WAIT_MS = 1
    member = MemberFactory(session__expires_at=NOW - SECOND)
    failures = {}
    with another() as holder:
        locked(member, holder)
        for retries in (0, 2):
            settings.SESSION_CLEANUP_RETRIES = retries
            caplog.clear()
            job = run()
            assert (job.end_state, job.skipped) == ("drained_with_skips", {"locked": 1})
            failures[retries] = caplog.text.count("trouble=LOCKED")

    assert failures[2] - failures[0] == 2


@pytest.mark.skipif(connection.vendor != "sqlite", reason="test_pacing has it for PostgreSQL")
def test_a_statement_that_takes_too_long_is_interrupted_and_nothing_is_half_done(settings, monkeypatch):
    settings.SESSION_CLEANUP_STATEMENT_TIMEOUT_MS = 100
    SessionFactory.create_batch(2, expires_at=NOW - SECOND)
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    monkeypatch.setattr(Update, "apply", lambda self, rows, claims: sql(count))

    job = run()

    assert (job.end_state, job.changed) == ("failed", 0)
    assert "interrupted" in job.error
    assert Session.objects.active().count() == 2
