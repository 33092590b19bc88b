"""One piece of work, in a process of its own: `python -m benchmarks.work WHAT …` prints JSON.

A process of its own so that memory is its own, nothing is warm from the tool before, and the time is
that of the work alone: Django is set up and the connection is open before the clock starts.
"""

import io
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import django

from benchmarks.cases import CASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
CALLS = 11  # of a command or a count, of which the median is taken


def migrate() -> dict[str, Any]:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0, run_syncdb=True)
    if connection.vendor == "sqlite":  # so that the file alone is all of it
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {"django": django.__version__}


def prepare(case: str, rows: str, layout: str) -> dict[str, Any]:
    from django.db import connection

    from benchmarks.rows import fill

    fill(connection, CASES[case], int(rows), clustered=layout == "clustered")
    return {"bytes": row_bytes(CASES[case].table, int(rows))}


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
        sys.exit(reason)
    connection.ensure_connection()
    said: dict[str, Any] = {}
    seconds = timed(lambda: said.update(TOOLS[tool](CASES[case]) or {}))
    return {"seconds": seconds, "peak_mb": peak_mb(), **said}


def command(case: str) -> dict[str, Any]:
    """The command for the jobs of the case, when there is nothing to do."""
    from django.core.management import call_command

    jobs = CASES[case].jobs
    times = [
        timed(lambda: call_command("cleanup_sessions", *jobs, format="json", stdout=io.StringIO()))
        for _ in range(CALLS)
    ]
    return {"first": times[0], "seconds": statistics.median(times[1:])}


def preview(case: str) -> dict[str, Any]:
    """The dry run of the case beside SELECT count(*) of the rows that are due."""
    from django.db import connection

    from benchmarks.tools import sql_clock
    from session_cleanup.engine import runner
    from session_cleanup.engine.report import RunRequest

    request = RunRequest(jobs=CASES[case].jobs, dry_run=True)
    due = CASES[case].due.format(now=sql_clock())
    with connection.cursor() as cursor:

        def count() -> None:
            cursor.execute(f"SELECT count(*) FROM {CASES[case].table} WHERE {due}")

        count()  # what both of them read is in memory from here on
        times = [(timed(count), timed(lambda: runner.run(request))) for _ in range(CALLS // 2)]
    counts, previews = zip(*times, strict=True)
    return {"count": statistics.median(counts), "preview": statistics.median(previews)}


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_mb() -> float:
    """The most memory that this process ever had; Linux counts in kilobytes, macOS in bytes."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    django.setup()
    what, *arguments = sys.argv[1:]
    known = {each.__name__: each for each in (migrate, prepare, run, command, preview)}
    said = known[what](*arguments)
    sys.stdout.write(f"\n{json.dumps(said)}\n")
