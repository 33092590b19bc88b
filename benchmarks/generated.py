"""The results of `recurring`: each bar beside its figure, and a table."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Record
from benchmarks.results import Spread, verdict

RECURRING = "recurring"
PART = 1 / 300  # series, of --rows
TIMES = 6  # the time of the raw statements, beside the expansion
AGAIN_SECONDS = 3  # beside the expansion
MORE_MEMORY_MB = 64  # than before the job began
BARS = (
    (
        f"generated, beside {TIMES} × raw and the expansion",
        lambda notes: notes["generate"] / (TIMES * notes["raw"] + notes["expansion"]),
        1,
    ),
    (
        "generated again, s more than the expansion",
        lambda notes: notes["again"] - notes["expansion"],
        AGAIN_SECONDS,
    ),
    ("more memory, MB", lambda notes: notes["more_mb"], MORE_MEMORY_MB),
)
HEAD = (
    "series",
    "sessions",
    "expansion alone, s",
    "raw INSERT … SELECT of sessions and log, s",
    "generated, s",
    "beside raw, without the expansion",
    "generated again, s",
    "more MB of memory",
)


def verdicts(records: list[Record]) -> Iterator[str]:
    """Each bar beside its figure, the median of the repeats."""
    found = [each.notes for each in records if each.case == RECURRING and each.notes]
    for what, figure, bar in BARS if found else ():
        yield verdict(f"recurring: {what}", Spread(tuple(map(figure, found))).median, "≤", bar)


def rows_of(records: list[Record]) -> Iterator[tuple[str, ...]]:
    """For the table of results."""
    for each in records:
        if each.case == RECURRING and each.notes:
            notes = each.notes
            yield (
                f"{notes['series']:,}",
                f"{notes['rows']:,}",
                f"{notes['expansion']:.1f}",
                f"{notes['raw']:.1f}",
                f"{notes['generate']:.1f}",
                f"{(notes['generate'] - notes['expansion']) / notes['raw']:.1f}",
                f"{notes['again']:.2f}",
                f"{notes['more_mb']:.0f}",
            )
