"""Where a tool is at work, found from outside: it says nothing, and its changes cannot be seen yet.

Two things give it away. A row that a transaction has locked or changed carries its number in `xmax`,
and what still looks due begins where the work has got to: in the order of the table for a tool that goes
by blocks (or through all of it at once), in the order of the clock for one that goes by an index. So an
aimed writer looks at both frontiers by turns, and of the rows there prefers one that is held.
"""

import random
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import psycopg

from benchmarks.cases import Case

WINDOW = 64  # blocks that are looked at together
LOOKED_AT = 200  # due rows at a frontier
NEAR = 50  # of which so many count as the next ones, where none is held
LONG_AGO = "2000-01-01"

Rows = list[tuple[Any, ...]]  # (key, xmax, …)


def at_work(connection: psycopg.Connection[Any], case: Case) -> Iterator[Any]:
    """For ever, the key of a row that a tool is at or is about to come to; None where nothing is due."""
    frontiers = [by_block(connection, case)]
    if case.clock_indexed:
        frontiers.append(by_clock(connection, case))
    for frontier in cycle(frontiers):
        rows = next(frontier)
        held = [row[0] for row in rows if row[1] != "0"]
        near = held or [row[0] for row in rows[:NEAR]]
        yield random.choice(near) if near else None


def by_block(connection: psycopg.Connection[Any], case: Case) -> Iterator[Rows]:
    """The due rows of the first blocks that still have some."""
    size: Any = f"SELECT pg_relation_size('{case.table}') / current_setting('block_size')::int"
    sql: Any = (
        f"SELECT {case.key}, xmax::text FROM {case.table} WHERE ctid >= %s::tid AND ctid < %s::tid"
        f" AND {case.due.format(now='now()')} ORDER BY ctid LIMIT {LOOKED_AT}"
    )
    while True:
        block, end = 0, connection.execute(size).fetchall()[0][0]
        while block < end:
            rows = connection.execute(sql, [f"({block},0)", f"({block + WINDOW},0)"]).fetchall()
            if rows:
                yield rows
            else:
                block += WINDOW
        yield []


def by_clock(connection: psycopg.Connection[Any], case: Case) -> Iterator[Rows]:
    """The due rows that are oldest by the clock."""
    sql: Any = (
        f"SELECT {case.key}, xmax::text, {case.clock} FROM {case.table} WHERE {case.clock} >= %s"
        f" AND {case.due.format(now='now()')} ORDER BY {case.clock} LIMIT {LOOKED_AT}"
    )
    position: Any = LONG_AGO
    while True:
        rows = connection.execute(sql, [position]).fetchall()
        position = rows[0][2] if rows else LONG_AGO
        yield rows
