"""SQLite: one writer at a time, so a batch waits for the whole file."""

import sqlite3
import threading
import time

import pytest
from django.db import connection

from session_cleanup.engine import runner
from session_cleanup.engine.acting import Acting
from session_cleanup.engine.ladder import Ladder
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import Session
from tests.factories import NOW, SECOND, SessionFactory

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="needs SQLite"),
]


@pytest.fixture
def other_writer():
    """Another process that holds the write lock until it is told to let go."""
    connection.ensure_connection()
    other = sqlite3.connect(connection.settings_dict["NAME"], check_same_thread=False, isolation_level=None)
    yield other
    other.close()


def test_a_batch_waits_until_another_writer_is_done(other_writer):
    SessionFactory(expires_at=NOW - SECOND)
    other_writer.execute("BEGIN IMMEDIATE")
    threading.Timer(0.5, lambda: other_writer.execute("COMMIT")).start()

    report = runner.run(RunRequest(jobs=("collaborative-expired",)), now=NOW)

    assert report.jobs[0].changed == 1


def test_a_file_that_stays_locked_fails_the_job_and_says_so(other_writer, settings, monkeypatch):
    settings.SESSION_CLEANUP_RETRIES = 1
    SessionFactory.create_batch(3, expires_at=NOW - SECOND)
    act = Ladder.act

    def locked_meanwhile(self, keys, cursor):
        connection.cursor().execute("PRAGMA busy_timeout = 50")
        other_writer.execute("BEGIN IMMEDIATE")
        try:
            return act(self, keys, cursor)
        finally:
            other_writer.execute("ROLLBACK")

    monkeypatch.setattr(Ladder, "act", locked_meanwhile)
    started = time.monotonic()
    report = runner.run(RunRequest(jobs=("collaborative-expired",)), now=NOW)

    assert report.exit_status == 1
    assert "locked" in report.jobs[0].error
    assert Session.objects.active().count() == 3
    assert time.monotonic() - started < 10


def test_a_batch_takes_the_write_lock_at_its_start_and_leaves_the_connection_as_it_was(monkeypatch):
    SessionFactory(expires_at=NOW - SECOND)
    seen = []
    monkeypatch.setattr(
        Acting, "lock", lambda self, rows, **_: seen.append(connection.transaction_mode) or []
    )

    runner.run(RunRequest(jobs=("collaborative-expired",)), now=NOW)

    assert seen == ["IMMEDIATE"]
    assert connection.transaction_mode is None
