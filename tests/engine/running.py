"""A run in a thread of its own, and other sessions of its database beside it."""

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager

from django.db import close_old_connections, connection, connections, transaction

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from tests.factories import NOW

JOB = "collaborative-expired"
PATIENCE = 30


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)


class Running(threading.Thread):
    """A run in a thread of its own, with a connection of its own."""

    def __init__(self, job=JOB, now=NOW, **options):
        super().__init__(daemon=True)  # a test that fails does not wait for it
        self.job_name, self.now = job, now
        self.options = options
        self.asked_to_stop = False
        self.start()

    def run(self):
        request = RunRequest(jobs=(self.job_name,), **self.options)
        try:
            self.report = runner.run(request, now=self.now, stopped=lambda: self.asked_to_stop)
        finally:
            connections.close_all()

    def job(self):
        self.join(PATIENCE)
        return self.report.jobs[0]


def sql(statement, *params, using=connection):
    with using.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchone()[0] if cursor.description else None


@contextmanager
def another():
    """Another session of the database, in this thread."""
    other = connection.copy()
    try:
        yield other
    finally:
        other.close()


@contextmanager
def another_connection():
    """A transaction of another process, open until the block ends."""
    begin, end, ready = threading.Event(), threading.Event(), threading.Event()
    work: list[Callable[[], None]] = []

    def live() -> None:
        try:
            with transaction.atomic():
                begin.wait(20)
                for each in work:
                    each()
                ready.set()
                end.wait(20)
        finally:
            ready.set()
            connections.close_all()

    thread = threading.Thread(target=live)
    thread.start()

    def do(action: Callable[[], None]) -> None:
        work.append(action)
        begin.set()
        assert ready.wait(20)

    try:
        yield do
    finally:
        begin.set()
        end.set()
        thread.join(20)
        close_old_connections()


def lock(row):
    return lambda: type(row)._base_manager.select_for_update().get(pk=row.pk)


def a_wait_for_a_lock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')")
        return cursor.fetchone()[0]


def deadlocks():
    """How many the database has broken up; a process reports its own at its end at the latest."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return cursor.fetchone()[0]
