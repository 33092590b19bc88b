"""`python -m benchmarks`: session_cleanup beside its peers, in one run. See benchmarks/README.md."""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from benchmarks.cases import BY_NAME, CASES, Case
from benchmarks.databases import SETTINGS, Postgres
from benchmarks.measure import Record, throughput, waits
from benchmarks.processes import work
from tests.plugins.postgres import Server


def say(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


@contextmanager
def postgres() -> Iterator[Postgres]:
    if url := os.environ.get("BENCH_DATABASE_URL"):
        database = Postgres(url)
        try:
            yield database
        finally:
            database.drop()
        return
    server = Server.start(SETTINGS)
    try:
        yield Postgres(server.url)
    finally:
        server.stop()


def measure(case: Case, options: argparse.Namespace, database: Postgres) -> Iterator[Record]:
    say(f"{case.name}: making {options.rows:,} rows")
    work("prepare", case.name, str(options.rows), options.layout, url=database.prepared())
    wanted = options.tools or ["ours", "raw", *case.tools]
    tools = [tool for tool in ("ours", "raw", *case.tools) if tool in wanted]
    fastest = 5.0
    if "throughput" in options.passes:
        for record in throughput(case, tools, options.rows, options.repeats, database, options.limit):
            if record.tool == "ours":
                fastest = record.seconds or fastest
            yield record
    if "waits" in options.passes:
        yield from waits(
            case, tools, options.rows, options.wait_repeats, database, options.limit, min(fastest, 20)
        )


def told(record: Record) -> str:
    head = f"{record.case} {record.measured} {record.tool} #{record.repeat + 1}:"
    if record.failed:
        return f"{head} FAILED {record.failed}"
    took = f" {record.seconds:.2f} s" if record.seconds else ""
    return f"{head}{took} {record.waits or ''} {record.notes or ''}"


def ratios(records: list[Record]) -> Iterator[str]:
    for case in CASES:
        mine = [r for r in records if r.case == case.name]
        raw = {r.repeat: r.seconds for r in mine if r.measured == "throughput" and r.tool == "raw"}
        for tool in dict.fromkeys(r.tool for r in mine):
            runs = [r for r in mine if r.tool == tool and r.seconds and r.measured == "throughput"]
            found = sorted(raw[r.repeat] / r.seconds for r in runs if raw.get(r.repeat))
            waited = [
                max(r.waits[role]["longest_blocked"] for role in ("random", "aimed"))
                for r in mine
                if r.tool == tool and r.waits
            ]
            took = statistics.median([r.seconds for r in runs]) if runs else 0
            beside = f"{statistics.median(found):.2f} ({found[0]:.2f}-{found[-1]:.2f})" if found else "-"
            wait = f"{statistics.median(waited):.0f} (max {max(waited):.0f})" if waited else "-"
            yield f"{case.name:12} {tool:10} {took:8.2f} s   ratio {beside:20} wait ms {wait}"
        digests = {tuple(r.digest) for r in mine if r.digest}
        if len(digests) > 1:
            yield f"{case.name}: the tools did NOT do the same work: {digests}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--rows", type=int, default=3_000_000, help="rows of each table (default 3,000,000)")
    add("--cases", nargs="+", choices=list(BY_NAME), default=list(BY_NAME), metavar="CASE")
    add("--tools", nargs="+", metavar="TOOL", help="only these")
    add("--passes", nargs="+", choices=["throughput", "waits"], default=["throughput", "waits"])
    add("--repeats", type=int, default=3, help="of the throughput")
    add("--wait-repeats", type=int, default=3, help="of the waits")
    add("--layout", choices=["spread", "clustered"], default="spread", help="where the due rows lie")
    add("--limit", type=float, default=900, help="seconds after which a run is given up")
    add("--json", type=Path, help="write every measurement here, after each case")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    records: list[Record] = []
    with postgres() as database:
        for name in options.cases:
            for record in measure(BY_NAME[name], options, database):
                say(told(record))
                records.append(record)
            if options.json:
                options.json.write_text(json.dumps([r.as_json() for r in records], indent=1))
    for line in ratios(records):
        print(line)


if __name__ == "__main__":
    main()
