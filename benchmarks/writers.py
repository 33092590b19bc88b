"""Other writers, while a tool works: `python -m benchmarks.writers random|aimed|watch CASE ROWS`.

Each is a process of its own. It says "ready", works until its standard input is closed, and then prints
what it saw as JSON. Times are of the machine's monotonic clock, the same in all processes.

`random` changes one row anywhere, `aimed` one in the slice under way, each in a transaction of its own,
and both note when that began and how long it took. `watch` looks who it is that blocks them.
"""

import json
import os
import random
import select
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg

from benchmarks.cases import CASES, Case
from benchmarks.frontier import at_work

PAUSE = 0.002  # seconds between two writes of one writer, and between two looks at who waits
PATIENCE = 600  # seconds that a writer waits for SQLite's lock
WRITER, TOOL = "bench-writer", "bench-tool"  # application names
WAITING = f"""
SELECT pid, pg_blocking_pids(pid), ARRAY(SELECT pid FROM pg_stat_activity WHERE application_name = '{TOOL}')
FROM pg_stat_activity WHERE application_name = '{WRITER}' AND wait_event_type = 'Lock'
"""


def told_to_stop() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write(change: Callable[[Any], Any], keys: Iterator[Any]) -> list[tuple[float, float]]:
    """Change one row after the other; when each change began, and how long it took."""
    writes = []
    say("ready")
    while not told_to_stop():
        key = next(keys)
        began = time.monotonic()
        change(key)
        writes.append((began, time.monotonic() - began))
        time.sleep(PAUSE)
    return writes


def anywhere(case: Case, rows: int) -> Iterator[Any]:
    chosen = random.Random(1)
    while True:
        yield case.key_of(chosen.randint(1, rows))


def aimed(scout: psycopg.Connection[Any], case: Case, rows: int) -> Iterator[Any]:
    elsewhere = anywhere(case, rows)
    for key in at_work(scout, case):
        yield next(elsewhere) if key is None else key


def write_to_postgres(url: str, case: Case, rows: int, role: str) -> dict[str, Any]:
    sql: Any = f"UPDATE {case.table} SET {case.touch} WHERE {case.key} = %s"
    with connect(url, "bench-scout") as scout, connect(url, WRITER) as writer:
        keys = aimed(scout, case, rows) if role == "aimed" else anywhere(case, rows)
        writes = write(lambda key: writer.execute(sql, [key]), keys)
        return {"pid": writer.info.backend_pid, "writes": writes}


def write_to_sqlite(url: str, case: Case, rows: int) -> dict[str, Any]:
    file = url.removeprefix("sqlite:///")
    sql = f"UPDATE {case.table} SET {case.touch} WHERE {case.key} = ?"
    with closing(sqlite3.connect(file, isolation_level=None, timeout=PATIENCE)) as connection:
        connection.execute("PRAGMA synchronous = NORMAL")
        writes = write(lambda key: connection.execute(sql, [key]), anywhere(case, rows))
    return {"writes": writes}


def watch(url: str) -> dict[str, Any]:
    """When each writer was seen waiting for a tool's transaction, and the longest time between two looks."""
    waits, gap, last = [], 0.0, time.monotonic()
    sql: Any = WAITING
    with connect(url, "bench-watch") as connection:
        say("ready")
        while not told_to_stop():
            seen = connection.execute(sql).fetchall()
            now = time.monotonic()
            gap, last = max(gap, now - last), now
            blockers = {pid: set(blocking) for pid, blocking, _ in seen}
            waits += [(pid, now) for pid, _, tools in seen if set(tools) & ahead_of(pid, blockers)]
            time.sleep(PAUSE)
    return {"waits": waits, "gap": gap}


def ahead_of(pid: int, blockers: dict[int, set[int]]) -> set[int]:
    """Those it waits for, and those they wait for."""
    found: set[int] = set()
    more = blockers[pid]
    while more:
        found |= more
        more = set().union(*(blockers.get(each, set()) for each in more)) - found
    return found


def connect(url: str, name: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True, application_name=name)


def main(role: str, case_name: str, rows: str) -> None:
    url, case = os.environ["BENCH_DATABASE_URL"], CASES[case_name]
    if role == "watch":
        said = watch(url)
    elif case.database == "sqlite":
        said = write_to_sqlite(url, case, int(rows))
    else:
        said = write_to_postgres(url, case, int(rows), role)
    say(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
