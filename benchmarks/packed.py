"""The results of `packing`: each bar beside its figure, and a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.measure import Record
from benchmarks.results import Spread, verdict

PACKING = "packing"
SHARES = {2: 0.20, 5: 0.28}  # by random tokens in a document: stored characters beside those of its JSON
SPEEDS = {"zlib": 20, "zstd": 60}  # MB of JSON a second, on one core
KINDS = [(tokens, codec) for codec in SPEEDS for tokens in SHARES]
SHARE_OF_CODEC = 0.4  # the speed of the whole job beside that of the codec alone
MORE_MEMORY_MB = 64  # than before the job began
PART = 1 / 150  # of --rows


def verdicts(records: list[Record]) -> Iterator[str]:
    """Each bar beside its figure, the median of the repeats."""
    for tokens, codec in KINDS:
        name = tool(tokens, codec)
        found = [each.notes for each in records if each.case == PACKING and each.tool == name and each.notes]
        if not found:
            continue
        for what, figure, sign, bar in [
            ("stored characters beside those of the JSON", _share, "≤", SHARES[tokens]),
            ("the codec alone, MB/s", lambda notes: notes["pack_mb"], "≥", SPEEDS[codec]),
            ("the job beside it", lambda notes: notes["job_mb"] / notes["pack_mb"], "≥", SHARE_OF_CODEC),
            ("more memory, MB", lambda notes: notes["more_mb"], "≤", MORE_MEMORY_MB),
        ]:
            yield verdict(f"{name}: {what}", Spread(tuple(map(figure, found))).median, sign, bar)
        if not all(notes["whole"] and notes["unpacked"] == notes["rows"] for notes in found):
            yield f"{name}: NOT what it was after unpacking"


def tool(tokens: int, codec: str) -> str:
    return f"{codec}, {tokens} random tokens"


def _share(notes: dict[str, Any]) -> float:
    return float(notes["bytes_after"] / notes["characters"])


def rows_of(records: list[Record]) -> Iterator[tuple[str, ...]]:
    """For the table of results."""
    for each in records:
        if each.case == PACKING and each.notes:
            notes = each.notes
            before, after = notes["bytes_before"] / 1e6, notes["bytes_after"] / 1e6
            yield (
                each.tool,
                f"{notes['rows']:,}",
                f"{_share(notes):.1%}",
                f"{notes['pack_mb']:.0f} / {notes['unpack_mb']:.0f}",
                f"{notes['job_mb']:.0f} / {notes['unpacking_mb']:.0f}",
                f"{before - after:.1f} of {before:.1f}",
                " → ".join(f"{notes[f'disk_{when}'] / 1e6:.1f}" for when in ("before", "after", "vacuumed")),
                f"{notes['more_mb']:.0f}",
            )


HEAD = (
    "documents",
    "rows",
    "stored characters",
    "codec, MB/s: pack / unpack",
    "job, MB/s: pack / unpack",
    "logical MB saved",
    "MB on disk: before → after → VACUUM FULL",
    "more MB of memory",
)
