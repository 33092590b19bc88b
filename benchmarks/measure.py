"""Runs the tools of a case, each on a fresh copy of its rows, and notes what came out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.cases import Case
from benchmarks.databases import Postgres
from benchmarks.processes import Failed, Writers, work

ROLES = ("watch", "random", "aimed")


@dataclass(kw_only=True)
class Record:
    """One run of one tool. Times in seconds, waits in milliseconds."""

    case: str
    tool: str
    rows: int
    measured: str  # "throughput" or "waits"
    repeat: int
    seconds: float | None = None
    peak_mb: float | None = None
    digest: list[str] = field(default_factory=list)
    failed: str = ""
    waits: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def rotated(tools: list[str], by: int) -> list[str]:
    by %= len(tools)
    return tools[by:] + tools[:by]


def throughput(
    case: Case, tools: list[str], rows: int, repeats: int, database: Postgres, limit: float
) -> Iterator[Record]:
    """Each tool alone with the database; each repeat begins with another tool."""
    for repeat in range(repeats):
        for tool in rotated(tools, repeat):
            record = Record(case=case.name, tool=tool, rows=rows, measured="throughput", repeat=repeat)
            url = database.copy()
            do(record, case, url, database, limit)
            yield record


def waits(
    case: Case, tools: list[str], rows: int, repeats: int, database: Postgres, limit: float, rest: float
) -> Iterator[Record]:
    """Each tool beside two writers; first the writers alone, for `rest` seconds."""
    for repeat in range(repeats):
        for tool in rotated([*tools, "nobody"], repeat):
            record = Record(case=case.name, tool=tool, rows=rows, measured="waits", repeat=repeat)
            url = database.copy()
            with Writers(ROLES, case.name, rows, url) as writers:
                if tool == "nobody":
                    time.sleep(rest)
                else:
                    do(record, case, url, database, limit)
            record.waits = worst(writers.said)
            yield record


def do(record: Record, case: Case, url: str, database: Postgres, limit: float) -> None:
    try:
        said = work("run", case.name, record.tool, url=url, limit=limit)
    except Failed as failure:
        record.failed = str(failure)
    else:
        record.seconds, record.peak_mb = said.pop("seconds"), said.pop("peak_mb")
        record.notes = said
        record.digest = [str(value) for value in database.query(case.digest)[0]]


def worst(said: dict[str, Any]) -> dict[str, Any]:
    """In milliseconds: the longest write of each writer, and of those that the tool blocked."""
    found: dict[str, Any] = {"gap": round(said["watch"]["gap"] * 1000, 1)}
    for role in ("random", "aimed"):
        pid, writes = said[role]["pid"], said[role]["writes"]
        seen = [at for waiting, at in said["watch"]["waits"] if waiting == pid]
        blocked = [long for began, long in writes if any(began <= at <= began + long for at in seen)]
        found[role] = {
            "writes": len(writes),
            "longest": round(max((long for _, long in writes), default=0) * 1000, 1),
            "blocked": len(blocked),
            "longest_blocked": round(max(blocked, default=0) * 1000, 1),
        }
    return found
