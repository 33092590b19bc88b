"""What the measurements add up to: medians, ratios of the same repeat, and whether the bars are met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.cases import CASES, Case
from benchmarks.measure import NOBODY, Record


@dataclass(frozen=True)
class Spread:
    """Several values of the same thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    def text(self, form: str = ".2f") -> str:
        if not self.values:
            return "–"
        if len(self.values) == 1:
            return f"{self.median:{form}}"
        return f"{self.median:{form}} ({min(self.values):{form}}–{max(self.values):{form}})"


@dataclass(frozen=True)
class Standing:
    """One tool in one case."""

    case: Case
    tool: str
    seconds: Spread
    beside_raw: Spread
    wait_ms: Spread  # the worst of each repeat that the tool was the cause of
    write_ms: Spread  # the longest write of each repeat, whatever the cause
    peak_mb: float | None


def standings(records: list[Record]) -> Iterator[Standing]:
    """Each case's tools in the order they were measured first."""
    for case in CASES.values():
        mine = of_case(records, case)
        for tool in dict.fromkeys(record.tool for record in mine):
            yield standing(case, tool, mine)


def of_case(records: list[Record], case: Case) -> list[Record]:
    return [each for each in records if each.case == case.name and each.measured in ("throughput", "waits")]


def standing(case: Case, tool: str, records: list[Record]) -> Standing:
    timed = "waits" if case.database == "sqlite" else "throughput"
    runs = [record for record in records if record.tool == tool]
    waits = [record for record in runs if record.waits]
    return Standing(
        case,
        tool,
        Spread(tuple(record.seconds for record in runs if record.measured == timed and record.seconds)),
        ratios(records, tool, "raw", timed),
        Spread(tuple(record.worst_wait for record in waits if tool != NOBODY)),
        Spread(tuple(record.longest_write for record in waits)),
        max((record.peak_mb for record in runs if record.peak_mb), default=None),
    )


def ratios(records: list[Record], tool: str, other: str, measured: str) -> Spread:
    """How many times as fast as the other one, in each repeat that both were measured in."""
    seconds = {
        (record.tool, record.repeat): record.seconds
        for record in records
        if record.measured == measured and record.seconds
    }
    repeats = [repeat for name, repeat in seconds if name == tool and (other, repeat) in seconds]
    return Spread(tuple(seconds[other, repeat] / seconds[tool, repeat] for repeat in repeats))


def remarks(records: list[Record]) -> Iterator[str]:
    """Tools that failed, and tools that left other rows than the raw statement did."""
    yield from dict.fromkeys(
        f"{each.case}, {each.measured}, {each.tool}: failed: {each.failed}" for each in records if each.failed
    )
    tables = {(record.case, record.rows) for record in records}
    for case, rows in sorted(tables):
        done = [each for each in records if (each.case, each.rows) == (case, rows) and each.digest]
        left: dict[str, set[str]] = {}
        for record in done:
            left.setdefault("/".join(record.digest), set()).add(record.tool)
        if len(left) > 1:
            sides = "; ".join(f"{', '.join(sorted(tools))} left {what}" for what, tools in left.items())
            yield f"{case} of {rows:,} rows: NOT the same work: {sides}"


def verdicts(records: list[Record]) -> Iterator[str]:
    """Each bar beside its figure."""
    for found in standings(records):
        bar = found.case.bar
        if bar is None or found.tool != "ours":
            continue
        if found.beside_raw.values:
            yield verdict(f"{found.case.title}: ratio", found.beside_raw.median, "≥", bar.ratio)
        mine = of_case(records, found.case)
        for other, times in bar.times.items():
            beside = ratios(mine, "ours", other, "throughput")
            if beside.values:
                yield verdict(f"{found.case.title}: times as fast as {other}", beside.median, "≥", times)
        if found.wait_ms.values:  # the worst of all repeats, not their median
            yield verdict(f"{found.case.title}: worst wait, ms", max(found.wait_ms.values), "≤", bar.wait_ms)


def verdict(what: str, figure: float, sign: str, bar: float) -> str:
    met = figure >= bar if sign == "≥" else figure <= bar
    return f"{what} {figure:.2f}, bar {sign} {bar:g}: {'met' if met else 'MISSED'}"
