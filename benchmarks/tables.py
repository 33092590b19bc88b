"""The results as text: tables in Markdown, then each bar beside its figure."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import generated, growth, packed, results
from benchmarks.measure import NOBODY, Record

HEAD = (
    "work",
    "tool",
    "seconds",
    "speed beside raw",
    "worst wait caused, ms",
    "longest write, ms",
    "peak MB",
)


def render(records: list[Record], facts: dict[str, str]) -> str:
    lines = [f"{name}: {value}" for name, value in facts.items()]
    compared = list(results.standings(records))
    if compared:
        lines += ["", "Medians (lowest–highest) of the repeats; a ratio is of the same repeat.", ""]
        lines += table(HEAD, map(cells, compared))
        unwatched = [record.unwatched_ms for record in records if record.unwatched_ms]
        if unwatched:
            lines += [
                "",
                f"Who waits for whom was looked at every 2 ms, at worst after {max(unwatched):.0f} ms.",
            ]
    grown = growth.sizes(records)
    if grown:
        states = list(grown[-1].idle)
        lines += ["", "Growth of `delete`; the dry run and the command with nothing to do in ms:", ""]
        lines += table(
            ("rows", "speed beside raw", "peak MB", *states), (growth_cells(each, states) for each in grown)
        )
    found = list(packed.rows_of(records))
    if found:
        lines += ["", "Compression of JSON documents; MB are millions of bytes of JSON:", ""]
        lines += table(packed.HEAD, iter(found))
    made = list(generated.rows_of(records))
    if made:
        lines += ["", "Sessions of series, generated for 30 days ahead:", ""]
        lines += table(generated.HEAD, iter(made))
    rooms = (results, growth, packed, generated)
    bars = [bar for each in rooms for bar in each.verdicts(records)]
    if records:
        lines += ["", *(list(results.remarks(records)) or ["All tools did the same work."]), "", *bars]
    return "\n".join(lines) + "\n"


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    parts = [head, tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(part)} |" for part in parts]


def cells(found: results.Standing) -> tuple[str, ...]:
    alone = found.tool == NOBODY
    return (
        found.case.title,
        "writers alone" if alone else found.tool,
        found.seconds.text(),
        found.beside_raw.text() if found.tool != "raw" else "1",
        "–" if alone else found.wait_ms.text(".0f"),
        found.write_ms.text(".0f"),
        f"{found.peak_mb:.0f}" if found.peak_mb else "–",
    )


def growth_cells(found: growth.Growth, states: list[str]) -> tuple[str, ...]:
    idle = (f"{found.idle[state]:.1f}" if state in found.idle else "–" for state in states)
    return f"{found.rows:,}", found.beside_raw.text(), f"{found.peak_mb:.0f}", *idle
