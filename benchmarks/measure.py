"""Runs the tools of a case, each on a fresh copy of its rows, and notes what came out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.cases import Case
from benchmarks.databases import Database
from benchmarks.processes import Failed, work, writers

NOBODY = "nobody"  # the tool of a baseline: other writers alone
MILLI = 1000


@dataclass(kw_only=True)
class Record:
    """One run of one tool. Times in seconds, waits in milliseconds."""

    case: str
    rows: int
    measured: str  # "throughput", "waits", "growth" or "idle"
    tool: str
    repeat: int = 0
    seconds: float | None = None
    peak_mb: float | None = None
    digest: list[str] = field(default_factory=list)
    failed: str = ""
    waits: dict[str, dict[str, float]] = field(default_factory=dict)
    unwatched_ms: float | None = None  # the longest time between two looks at who waits
    notes: dict[str, Any] = field(default_factory=dict)

    as_json = asdict

    @property
    def worst_wait(self) -> float:
        """The longest that a writer waited because of the tool."""
        return max(found["blocked_ms"] for found in self.waits.values())

    @property
    def longest_write(self) -> float:
        """The longest write, whatever it waited for."""
        return max(found["longest_ms"] for found in self.waits.values())


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How often: `repeats` for our run and the raw statement, `peers` for all others."""

    case: Case
    rows: int
    tools: list[str]
    repeats: int
    peers: int
    limit: float  # seconds after which a run is given up
    rest: float = 5  # seconds of the baseline

    def turns(self, tools: list[str], often: tuple[str, ...]) -> Iterator[tuple[int, str]]:
        """(repeat, tool): those of `often` in all repeats; each repeat begins with another tool."""
        for repeat in range(max(self.repeats, self.peers)):
            for tool in tools[repeat % len(tools) :] + tools[: repeat % len(tools)]:
                if repeat < (self.repeats if tool in often else self.peers):
                    yield repeat, tool

    @property
    def barred(self) -> tuple[str, ...]:
        """The tools whose speed a bar depends on."""
        return ("ours", "raw", *(self.case.bar.times if self.case.bar else ()))

    def record(self, measured: str, tool: str, repeat: int = 0) -> Record:
        return Record(case=self.case.name, rows=self.rows, measured=measured, tool=tool, repeat=repeat)


def throughput(plan: Plan, database: Database, measured: str = "throughput") -> Iterator[Record]:
    """Each tool alone with the database."""
    for repeat, tool in plan.turns(plan.tools, plan.barred):
        record = plan.record(measured, tool, repeat)
        run(record, plan, database.copy(), database)
        yield record


def waits(plan: Plan, database: Database) -> Iterator[Record]:
    """Each tool beside other writers, and these alone."""
    skipped = set(plan.case.tools) - set(plan.case.waited_for or plan.case.tools)
    tools = [tool for tool in plan.tools if tool not in skipped]
    often = (
        plan.barred if plan.case.database == "sqlite" else ("ours",)
    )  # there, speed is that beside writers
    for repeat, tool in plan.turns([*tools, NOBODY], often):
        record = plan.record("waits", tool, repeat)
        url = database.copy()
        with writers(database.roles, plan.case.name, plan.rows, url) as said:
            if tool == NOBODY:
                time.sleep(plan.rest)
            else:
                run(record, plan, url, database)
        if watched := said.get("watch"):
            record.unwatched_ms = round(watched["gap"] * MILLI, 1)
        record.waits = waited(said)
        yield record


def idle(plan: Plan, database: Database) -> Iterator[Record]:
    """What a run costs that changes nothing: a dry run, and one with nothing to do."""
    record = plan.record("idle", "ours")
    try:
        record.notes = work("idle", plan.case.name, url=database.copy(), limit=plan.limit)
    except Failed as failure:
        record.failed = str(failure)
    yield record


def run(record: Record, plan: Plan, url: str, database: Database) -> None:
    try:
        said = work("run", plan.case.name, record.tool, url=url, limit=plan.limit)
    except Failed as failure:
        record.failed = str(failure)
    else:
        record.seconds, record.peak_mb = said.pop("seconds"), said.pop("peak_mb")
        record.notes = said
        record.digest = [str(value) for value in database.execute(plan.case.digest)[0]]


def waited(said: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Of each writer: how many writes, the longest, and the longest of those that the tool blocked.

    A write counts as blocked, with all of its time, when it was seen once to wait for the tool. On SQLite
    nobody else is there to wait for.
    """
    watched = said.pop("watch", None)
    found = {}
    for role, seen in said.items():
        writes = seen["writes"]
        blocked = writes
        if watched:
            looks = [at for pid, at in watched["waits"] if pid == seen["pid"]]
            blocked = [
                (began, long) for began, long in writes if any(0 <= at - began <= long for at in looks)
            ]
        found[role] = {
            "writes": len(writes),
            "longest_ms": longest(writes),
            "blocked": len(blocked),
            "blocked_ms": longest(blocked),
        }
    return found


def longest(writes: list[tuple[float, float]]) -> float:
    return round(max((long for _, long in writes), default=0) * MILLI, 1)
