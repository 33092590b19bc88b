"""Other writers, while a tool works: `python -m benchmarks.writers random|aimed|watch CASE ROWS`.

Each is a process of its own. It says "ready", works until its standard input is closed, and then
prints what it saw as JSON. Times are of the machine's monotonic clock, the same in all processes.

`random` changes one row anywhere, `aimed` one in the slice that is under way, both in a transaction of
their own, and note how long that took. `watch` looks who blocks them.
"""

import json
import os
import random
import select
import sys
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from benchmarks.cases import BY_NAME, Case

PAUSE = 0.002  # seconds between two writes of one writer, and between two looks at who waits
WINDOW = 64  # blocks that the aimed writer looks at together
NEAR = 50  # due rows that count as the next ones
WRITER, TOOL = "bench-writer", "bench-tool"  # application names

WAITING = f"""
SELECT pid, pg_blocking_pids(pid), ARRAY(SELECT pid FROM pg_stat_activity WHERE application_name = '{TOOL}')
FROM pg_stat_activity WHERE application_name = '{WRITER}' AND wait_event_type = 'Lock'
"""


def asked_to_stop() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def write(connection: psycopg.Connection[Any], case: Case, keys: Iterator[Any]) -> dict[str, Any]:
    """Change one row after the other; returns when each write began and how long it took."""
    sql: Any = f"UPDATE {case.table} SET hits = hits + 1 WHERE id = %s"
    writes = []
    print("ready", flush=True)
    while not asked_to_stop():
        key = next(keys)
        began = time.monotonic()
        connection.execute(sql, [key])
        writes.append((began, time.monotonic() - began))
        time.sleep(PAUSE)
    return {"pid": connection.info.backend_pid, "writes": writes}


def anywhere(rows: int) -> Iterator[int]:
    chosen = random.Random(1)
    while True:
        yield chosen.randint(1, rows)


def in_the_slice(connection: psycopg.Connection[Any], case: Case, rows: int) -> Iterator[int]:
    """Rows that the tool is at, whatever its order: by turns in that of the table and of the clock."""
    by_block, by_clock = frontier_by_block(connection, case), frontier_by_clock(connection, case)
    fallback = anywhere(rows)
    for frontier in endless(by_block, by_clock):
        near = next(frontier)
        touched = [key for key, xmax in near if xmax != "0"]  # a transaction is at them right now
        found = touched or [key for key, _ in near[:NEAR]]
        yield random.choice(found) if found else next(fallback)


def endless(*iterators: Iterator[Any]) -> Iterator[Iterator[Any]]:
    while True:
        yield from iterators


def frontier_by_block(connection: psycopg.Connection[Any], case: Case) -> Iterator[list[Any]]:
    """The due rows of the first window of blocks that still has some, in physical order."""
    blocks = f"SELECT pg_relation_size('{case.table}') / current_setting('block_size')::int"
    due = case.due.format(now="now()")
    sql: Any = (
        f"SELECT id, xmax::text FROM {case.table}"
        f" WHERE ctid >= %s::tid AND ctid < %s::tid AND {due} ORDER BY ctid"
    )
    at = 0
    while True:
        found = connection.execute(sql, [f"({at},0)", f"({at + WINDOW},0)"]).fetchall()
        if not found:
            at += WINDOW
            last = connection.execute(blocks).fetchone()  # type: ignore[call-overload]
            if last and at < last[0]:
                continue
            at = 0
        yield found


def frontier_by_clock(connection: psycopg.Connection[Any], case: Case) -> Iterator[list[Any]]:
    """The next due rows in the order of the clock."""
    due = case.due.format(now="now()")
    sql: Any = (
        f"SELECT id, xmax::text, expires_at FROM {case.table}"
        f" WHERE expires_at >= %s AND {due} ORDER BY expires_at LIMIT {4 * NEAR}"
    )
    position: Any = "2000-01-01"
    while True:
        found = connection.execute(sql, [position]).fetchall()
        position = found[0][2] if found else "2000-01-01"
        yield [row[:2] for row in found]


def watch(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """When each writer was seen waiting for a tool's transaction, and the longest gap between looks."""
    waits, gap, last = [], 0.0, time.monotonic()
    sql: Any = WAITING
    print("ready", flush=True)
    while not asked_to_stop():
        seen = connection.execute(sql).fetchall()
        now = time.monotonic()
        gap, last = max(gap, now - last), now
        blockers = {pid: set(blocking) for pid, blocking, _ in seen}
        for pid, _, tools in seen:
            if blocked_by(pid, blockers) & set(tools):
                waits.append((pid, now))
        time.sleep(PAUSE)
    return {"waits": waits, "gap": gap}


def blocked_by(pid: int, blockers: dict[int, set[int]]) -> set[int]:
    """Those it waits for, and those they wait for."""
    found: set[int] = set()
    ahead = set(blockers.get(pid, ()))
    while ahead:
        found |= ahead
        ahead = set().union(*(blockers.get(each, set()) for each in ahead)) - found
    return found


def main(role: str, case_name: str, rows: str) -> None:
    case = BY_NAME[case_name]
    name = WRITER if role != "watch" else "bench-watch"
    with psycopg.connect(os.environ["BENCH_DATABASE_URL"], autocommit=True, application_name=name) as writer:
        if role == "watch":
            said = watch(writer)
        elif role == "random":
            said = write(writer, case, anywhere(int(rows)))
        else:
            with psycopg.connect(os.environ["BENCH_DATABASE_URL"], autocommit=True) as scout:
                said = write(writer, case, in_the_slice(scout, case, int(rows)))
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
