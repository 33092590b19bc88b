"""`python -m benchmarks`: session_cleanup beside its peers, in one run. See benchmarks/README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from benchmarks import generated, packed
from benchmarks.cases import CASES, DELETE, Case
from benchmarks.cases import Database as Vendor
from benchmarks.databases import Database, database
from benchmarks.generated import RECURRING
from benchmarks.measure import Plan, Record, idle, throughput, waits
from benchmarks.packed import PACKING
from benchmarks.processes import Failed, work
from benchmarks.tables import render

GROWTH = "growth"
SIZES = (100_000, 1_000_000, 10_000_000)
BASELINE = (0.5, 10.0)  # seconds that writers alone are watched for, at least and at most


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = made.add_argument
    names = [*CASES, GROWTH, PACKING, RECURRING]
    add("--rows", type=int, default=3_000_000, metavar="N", help="rows of a table (default 3,000,000)")
    add("--cases", nargs="+", choices=names, default=names, help="what to measure (default: all of it)")
    add("--tools", nargs="+", metavar="TOOL", help="only these, such as: ours raw")
    add("--passes", nargs="+", choices=["throughput", "waits"], default=["throughput", "waits"])
    add("--repeats", type=int, default=3, metavar="N", help="of what a bar depends on (default 3)")
    add("--peer-repeats", type=int, default=1, metavar="N", help="of all else (default 1)")
    add("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="rows of the tables of growth")
    add("--layout", choices=["spread", "clustered"], default="spread", help="where the due rows lie")
    add("--limit", type=float, default=300, metavar="SECONDS", help="after which a run is given up")
    add("--json", type=Path, metavar="FILE", help="write every measurement there, after each case")
    add("--svg", type=Path, metavar="FOLDER", help="draw throughput.svg and waits.svg there")
    return made


@dataclass
class Session:
    """One run of the benchmarks: what was asked for, and what was found so far."""

    options: argparse.Namespace
    records: list[Record] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    databases: dict[Vendor, Database] = field(default_factory=dict)

    def run(self) -> None:
        self.facts |= machine() | {
            "Rows": f"{self.options.rows:,}, due ones {self.options.layout}",
            "Repeats": f"{self.options.repeats}, of peers {self.options.peer_repeats}",
            "Peers": listed(versions()),
        }
        with ExitStack() as stack:
            for name in self.options.cases:
                case = CASES.get(name, DELETE)
                if case.database not in self.databases:
                    self.open(stack.enter_context(database(case.database)), case.database)
                for record in self.records_of(name, case):
                    self.records.append(record)
                    progress(told(record))
                self.save()

    def open(self, opened: Database, vendor: Vendor) -> None:
        self.databases[vendor] = opened
        progress(f"{vendor}: {opened.place}")
        self.facts[f"Settings ({vendor})"] = listed(opened.says())
        self.facts["Django"] = work("migrate", url=opened.base())["django"]

    def records_of(self, name: str, case: Case) -> Iterator[Record]:
        if name == PACKING:
            return self.pack(case)
        if name == RECURRING:
            return self.generate(case)
        return self.grow(case) if name == GROWTH else self.compare(case)

    def pack(self, case: Case) -> Iterator[Record]:
        rows = max(round(self.options.rows * packed.PART), 50)
        for repeat in range(self.options.repeats):
            for tokens, codec in packed.KINDS:
                url = self.databases[case.database].prepared()
                record = Record(
                    case=PACKING,
                    rows=rows,
                    measured=PACKING,
                    tool=packed.tool(tokens, codec),
                    repeat=repeat,
                )
                try:
                    made = work("stock", tokens, codec, rows, url=url)
                    record.notes = made | work("packing", codec, url=url, limit=self.options.limit)
                except Failed as failure:
                    record.failed = str(failure)
                yield record

    def generate(self, case: Case) -> Iterator[Record]:
        series = max(round(self.options.rows * generated.PART), 3)
        for repeat in range(self.options.repeats):
            url = self.databases[case.database].prepared()
            record = Record(case=RECURRING, rows=series, measured=RECURRING, tool="ours", repeat=repeat)
            try:
                work("series", series, url=url)
                record.notes = work("recurring", url=url, limit=self.options.limit)
            except Failed as failure:
                record.failed = str(failure)
            yield record

    def compare(self, case: Case) -> Iterator[Record]:
        plan = self.plan(case, max(round(self.options.rows * case.part), 1), (*case.tools,))
        here = self.prepare(plan)
        if "throughput" in self.options.passes and case.database != "sqlite":
            yield from throughput(plan, here)
        if "waits" in self.options.passes or case.database == "sqlite":
            yield from waits(plan, here)

    def grow(self, case: Case) -> Iterator[Record]:
        for rows in self.options.sizes:
            plan = self.plan(case, rows, ())
            here = self.prepare(plan)
            yield from throughput(plan, here, GROWTH)
            yield from idle(plan, here)

    def plan(self, case: Case, rows: int, others: Sequence[str]) -> Plan:
        wanted = self.options.tools
        tools = [tool for tool in ("ours", "raw", *others) if not wanted or tool in wanted]
        options = self.options
        return Plan(
            case=case,
            rows=rows,
            tools=tools,
            repeats=options.repeats,
            peers=options.peer_repeats,
            limit=options.limit,
            rest=min(max(BASELINE[0], rows / 100_000), BASELINE[1]),
        )

    def prepare(self, plan: Plan) -> Database:
        here = self.databases[plan.case.database]
        progress(f"{plan.case.name}: making {plan.rows:,} rows, {self.options.layout}")
        made = work("prepare", plan.case.name, plan.rows, self.options.layout, url=here.prepared())
        if made["bytes"]:
            self.facts[f"Bytes a row of {plan.case.table}"] = f"{made['bytes']:.0f}"
        return here

    def save(self) -> None:
        if self.options.json:
            everything = {"facts": self.facts, "runs": [record.as_json() for record in self.records]}
            self.options.json.parent.mkdir(parents=True, exist_ok=True)
            self.options.json.write_text(json.dumps(everything, indent=1))


def machine() -> dict[str, str]:
    load = os.getloadavg()[0]
    return {
        "Measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Machine": f"{os.cpu_count()} cores, load {load:.1f} at the start",
        "Python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    found = {}
    for name in ("django-oauth-toolkit", "django-data-purger", "django-db-purge"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def listed(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def told(record: Record) -> str:
    """One line about one run."""
    said = [f"{record.case} {record.measured} {record.tool} {record.repeat + 1}:"]
    if record.seconds:
        said.append(f"{record.seconds:.2f} s")
    said += [f"{role}: {listed({k: str(v) for k, v in of.items()})};" for role, of in record.waits.items()]
    said += [record.failed] if record.failed else [str(record.notes or "")]
    return " ".join(said)


def progress(text: str) -> None:
    sys.stderr.write(f"{datetime.now():%H:%M:%S} {text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    session = Session(options)
    try:
        session.run()
    finally:  # what was measured is shown, also when that was not all
        session.save()
        sys.stdout.write(render(session.records, session.facts))
        if options.svg:
            from benchmarks.chart import draw

            draw(session.records, options.svg)


if __name__ == "__main__":
    main()
