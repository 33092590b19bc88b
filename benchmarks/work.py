"""One piece of work, in a process of its own.

So its memory is its own and nothing is warm from the tool before. Its time is that of the work alone:
Django is set up and the connection is open before the clock starts.
"""

import io
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import django

from benchmarks.cases import CASES
from benchmarks.packing import packing, stock
from benchmarks.recurring import recurring, series
from benchmarks.writers import TOOL

CALLS = 7  # of a command or a count, of which the median is taken


def migrate() -> dict[str, Any]:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0, run_syncdb=True)
    if connection.vendor == "sqlite":  # so that the file alone is all of it
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {"django": django.__version__}


def prepare(case: str, rows: int, layout: str) -> dict[str, Any]:
    from django.db import connection

    from benchmarks.rows import fill

    fill(connection, CASES[case], rows, clustered=layout == "clustered")
    return {"bytes": row_bytes(CASES[case].table, rows)}


def row_bytes(table: str, rows: int) -> float | None:
    from django.db import connection

    if connection.vendor != "postgresql" or not rows:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size(%s)", [table])
        return int(cursor.fetchone()[0]) / rows


def run(case: str, tool: str) -> dict[str, Any]:
    from django.db import connection

    from benchmarks.tools import TOOLS, missing

    if reason := missing(tool):
        raise ModuleNotFoundError(reason)
    connection.ensure_connection()
    said: dict[str, Any] = {}
    seconds = timed(lambda: said.update(TOOLS[tool](CASES[case]) or {}))
    return {"seconds": seconds, "peak_mb": peak_mb(), **said}


def idle(case: str) -> dict[str, Any]:
    """The dry run beside SELECT count(*), then the command when nothing is left to do, in milliseconds.

    The command is timed in three states of the same table: right after a run, vacuumed, and empty.
    """
    from django.db import connection

    from benchmarks.tools import ours, sql_clock
    from session_cleanup.engine import runner
    from session_cleanup.engine.report import RunRequest

    table, jobs = CASES[case].table, CASES[case].jobs
    due = CASES[case].due.format(now=sql_clock())
    with connection.cursor() as cursor:
        count = partial(cursor.execute, f"SELECT count(*) FROM {table} WHERE {due}")
        count()  # what it and the dry run read is in memory from here on
        said = {"count(*)": median_ms(count)}
        said["dry run"] = median_ms(lambda: runner.run(RunRequest(jobs=jobs, dry_run=True)))
        ours(CASES[case])
        for state, sql in [
            ("after the delete", "SELECT 1"),
            ("vacuumed", f"VACUUM (ANALYZE) {table}"),
            ("empty", f"TRUNCATE {table}"),
        ]:
            cursor.execute(sql)
            said[state] = median_ms(partial(command, jobs))
    return said


def command(jobs: tuple[str, ...]) -> None:
    from django.core.management import call_command

    call_command("cleanup_sessions", *jobs, format="json", stdout=io.StringIO())


def median_ms(work: Callable[[], Any]) -> float:
    return 1000 * statistics.median(timed(work) for _ in range(CALLS))


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_mb() -> float:
    """The most memory that this process ever had; Linux counts in kilobytes, macOS in bytes."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


WORK: dict[str, Callable[..., dict[str, Any]]] = {
    each.__name__: each for each in (migrate, prepare, run, idle, stock, packing, series, recurring)
}


def begin(url: str, what: str, arguments: tuple[Any, ...], answer: Connection) -> None:
    """What the process does: one of WORK on that database; it answers with (what it found, what failed)."""
    django.setup()
    from django.db import connections

    from benchmarks.settings import database

    connections.settings["default"] |= database(url)
    with suppress(AttributeError):  # what was made while Django was set up is for no database
        del connections["default"]
    os.environ["PGAPPNAME"] = TOOL
    try:
        answer.send((WORK[what](*arguments), ""))
    except Exception as error:
        answer.send(({}, f"{type(error).__name__}: {error}"))
