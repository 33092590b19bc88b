"""What is done for SQLite alone: its write-ahead log is checkpointed now and then, in nobody's way."""

import shutil
import sqlite3
import time
from contextlib import closing, contextmanager

import pytest
from django.db import connection

from session_cleanup.engine import runner
from session_cleanup.engine.connections import batch_transaction, checkpoint
from session_cleanup.engine.pressure import SIGNS, Pressure
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import Session
from tests.factories import NOW, SECOND, SessionFactory

JOB = "collaborative-expired"
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite"),
]


def run():
    return runner.run(RunRequest(jobs=(JOB,)), now=NOW).jobs[0]


@contextmanager
def write_ahead_log():
    """The database in WAL mode, where only a checkpoint asked for is made."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode = wal")
        cursor.execute("PRAGMA wal_autocheckpoint = 0")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute("PRAGMA wal_autocheckpoint = 1000")
            cursor.execute("PRAGMA journal_mode = delete")


def active_in_the_file(directory):
    """How many sessions are active in the database file alone, without its log."""
    copy = directory / "copy.sqlite3"
    shutil.copy(connection.settings_dict["NAME"], copy)
    with closing(sqlite3.connect(copy)) as alone:
        return alone.execute("SELECT count(*) FROM session_cleanup_session WHERE is_active").fetchone()[0]


def test_a_run_checkpoints_in_its_pauses(tmp_path, monkeypatch):
    SessionFactory.create_batch(3, expires_at=NOW - SECOND)
    with write_ahead_log():
        assert run().changed == 3
        assert active_in_the_file(tmp_path) == 0

        SessionFactory.create_batch(3, expires_at=NOW - SECOND)
        checkpoint("default")
        monkeypatch.setattr(Pressure, "relieve", lambda self: None)
        assert run().changed == 3
        assert active_in_the_file(tmp_path) == 3  # so it was the checkpoint


def test_a_reader_or_a_writer_neither_holds_a_checkpoint_up_nor_fails_the_job(caplog):
    SessionFactory.create_batch(3, expires_at=NOW - SECOND)
    with write_ahead_log(), closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
        for begin in ("BEGIN; SELECT * FROM session_cleanup_session", "BEGIN IMMEDIATE"):
            for statement in begin.split(";"):
                other.execute(statement).fetchall()
            started = time.monotonic()
            checkpoint("default")
            assert time.monotonic() - started < 2  # not as long as a writer waits for the file
            if "IMMEDIATE" not in begin:
                assert run().changed == 3
            other.rollback()
    assert "checkpoint failed" not in caplog.text


def test_a_batch_leaves_the_checkpoint_to_its_pause_and_the_connection_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(Pressure, "relieve", lambda self: None)
    SessionFactory.create_batch(3, expires_at=NOW - SECOND)
    with write_ahead_log(), connection.cursor() as cursor:
        checkpoint("default")
        cursor.execute("PRAGMA wal_autocheckpoint = 1")  # each commit would checkpoint
        with batch_transaction("default", lock_ms=1, statement_ms=1000):
            Session.objects.update(is_active=False)

        assert active_in_the_file(tmp_path) == 3
        assert cursor.execute("PRAGMA wal_autocheckpoint").fetchone() == (1,)
        Session.objects.update(title="next")
        assert active_in_the_file(tmp_path) == 0


def test_a_checkpoint_that_fails_is_logged_and_no_more(caplog):
    """Within a transaction of our own that has written, SQLite refuses it."""
    with write_ahead_log(), connection.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("UPDATE session_cleanup_session SET title = ''")
        checkpoint("default")
        cursor.execute("ROLLBACK")

    assert "checkpoint failed database=default error=database table is locked" in caplog.text


def test_the_limits_of_postgresql_ask_sqlite_nothing(settings):
    for sign in SIGNS:
        setattr(settings, f"SESSION_CLEANUP_{sign.setting}", 1)
    SessionFactory(expires_at=NOW - SECOND)

    assert (run().changed, run().waited) == (1, {})
