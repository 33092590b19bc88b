"""Troubles of a server, each a real one: in force inside the block, over when it ends."""

import threading
import time
from contextlib import contextmanager

import pytest
from django.db import connections

from session_cleanup.models import Session
from tests.engine.running import PATIENCE, another, sql, until
from tests.factories import SessionFactory

TABLE = Session._meta.db_table


@contextmanager
def open_transaction():
    """Another session has had a transaction open for more than a second."""
    with another() as other:
        other.set_autocommit(False)
        sql("SELECT 1", using=other)
        time.sleep(1.1)
        yield


@contextmanager
def prepared_transaction():
    if sql("SHOW max_prepared_transactions") == "0":
        pytest.skip("max_prepared_transactions is 0 on this server")
    with another() as other:
        sql("BEGIN", using=other)
        sql("SELECT 1", using=other)
        sql("PREPARE TRANSACTION 'forgotten'", using=other)
    time.sleep(1.1)
    try:
        yield
    finally:
        sql("ROLLBACK PREPARED 'forgotten'")


@contextmanager
def writers_in_a_queue():
    """Somebody waits for the lock of a row that the job has no business with."""
    row = SessionFactory()
    with another() as holder, another() as waiter:
        holder.set_autocommit(False)
        sql(f"SELECT 1 FROM {TABLE} WHERE id = %s FOR UPDATE", row.pk, using=holder)
        sql("SET lock_timeout = 0", using=waiter)
        waiter.inc_thread_sharing()
        statement = f"UPDATE {TABLE} SET title = '' WHERE id = %s"
        thread = threading.Thread(target=lambda: sql(statement, row.pk, using=waiter))
        thread.start()
        try:
            until(lambda: sql("SELECT count(*) FROM pg_locks WHERE NOT granted"), "a waiting writer")
            yield
        finally:
            holder.rollback()
            thread.join(PATIENCE)


@contextmanager
def much_to_log():
    """Up to 10 MB a second of write-ahead log."""
    end = threading.Event()

    def write():
        while not end.wait(0.1):
            sql("SELECT pg_logical_emit_message(false, 'test', repeat('x', 1024 * 1024))")
        connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(PATIENCE)


@contextmanager
def dead_rows():
    """Nobody vacuums the table until the end."""
    sql(f"ALTER TABLE {TABLE} SET (autovacuum_enabled = false)")
    try:
        SessionFactory.create_batch(200, title="to be dead")
        sql(f"DELETE FROM {TABLE} WHERE title = 'to be dead'")
        dead = "SELECT pg_stat_get_dead_tuples(%s::regclass)"
        until(lambda: sql(dead, TABLE) > 50, "the count of dead rows")
        yield
        sql(f"VACUUM {TABLE}")
    finally:
        sql(f"ALTER TABLE {TABLE} RESET (autovacuum_enabled)")


@contextmanager
def replay_that_stands_still(standby):
    sql("SELECT pg_logical_emit_message(false, 'test', 'first')")
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        sql("SELECT pg_logical_emit_message(false, 'test', 'second')")
        lag = "SELECT coalesce(max(replay_lag), '0') > '1 s' FROM pg_stat_replication"
        until(lambda: sql(lag), "replica lag")
        yield
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")
