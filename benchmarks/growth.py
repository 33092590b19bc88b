"""How our run grows with the table: its speed beside the raw statement, its memory, and its idle cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.measure import Record
from benchmarks.results import Spread, ratios, verdict

SHARE_OF_RATIO = 0.9  # of that at a tenth of the rows
MORE_MEMORY_MB = 20  # from the smallest table to the largest
IDLE_MS = 20  # a job on the largest table, beside the empty one


@dataclass(frozen=True)
class Growth:
    """One size of table. The dry run, the count and the idle commands are in milliseconds."""

    rows: int
    beside_raw: Spread
    peak_mb: float
    idle: dict[str, float]


def sizes(records: list[Record]) -> list[Growth]:
    """By size, smallest first."""
    found = []
    for rows in sorted({record.rows for record in records if record.measured == "growth"}):
        here = [record for record in records if record.rows == rows]
        peaks = [each.peak_mb for each in here if each.measured == "growth" and each.tool == "ours"]
        spread = ratios(here, "ours", "raw", "growth")
        idle = next((record.notes for record in here if record.measured == "idle"), {})
        found.append(Growth(rows, spread, max((p for p in peaks if p), default=0), idle))
    return found


def verdicts(records: list[Record]) -> Iterator[str]:
    """The bars of growth, as far as the sizes that were measured can tell."""
    found = sizes(records)
    by_rows = {each.rows: each for each in found}
    for each in found:
        smaller = by_rows.get(each.rows // 10)
        if smaller and each is found[-1] and each.beside_raw.values and smaller.beside_raw.values:
            share = each.beside_raw.median / smaller.beside_raw.median
            yield verdict(
                f"ratio at {each.rows:,} rows, of that at {smaller.rows:,}", share, "≥", SHARE_OF_RATIO
            )
    if len(found) > 1:
        more = found[-1].peak_mb - found[0].peak_mb
        what = f"more memory at {found[-1].rows:,} rows than at {found[0].rows:,}, MB"
        yield verdict(what, more, "≤", MORE_MEMORY_MB)
    if found and found[-1].idle:
        idle = found[-1].idle
        what = f"nothing due in {found[-1].rows:,} rows, vacuumed: ms more than on an empty table"
        yield verdict(what, idle["vacuumed"] - idle["empty"], "≤", IDLE_MS)
