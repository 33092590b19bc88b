"""Draws the results: speed beside the raw statement, and the worst wait, a bar a tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pygal
from pygal.style import Style

from benchmarks.measure import NOBODY, Record
from benchmarks.results import Standing, standings

COLORS = ("#0b6e4f", "#6c757d", "#c8553d", "#e0a458", "#588b8b", "#8d6a9f", "#b0a990", "#3d5a80")
STYLE = Style(
    background="white",
    plot_background="white",
    font_family="sans-serif",
    colors=COLORS,
    label_font_size=13,
    major_label_font_size=13,
    legend_font_size=13,
    title_font_size=17,
    value_font_size=11,
)
WIDTH, HEIGHT = 960, 520
MILLISECONDS = [1, 10, 100, 1_000, 10_000, 100_000]
SHORTEST_MS = 1.0  # what cannot be drawn on a logarithmic scale is drawn as this


def draw(records: list[Record], folder: Path) -> None:
    """Write throughput.svg and waits.svg into `folder`, each if there are figures for it."""
    found = [each for each in standings(records) if each.tool != NOBODY]
    folder.mkdir(parents=True, exist_ok=True)
    speeds = {
        (each.case.name, each.tool): round(each.beside_raw.median, 2)
        for each in found
        if each.beside_raw.values
    }
    if speeds:
        chart = bars(found, speeds, "Speed beside one raw statement that does the same (1 = as fast)")
        chart.render_to_file(str(folder / "throughput.svg"))
    waits = {
        (each.case.name, each.tool): max(*each.wait_ms.values, SHORTEST_MS)
        for each in found
        if each.wait_ms.values
    }
    if waits:
        scale = {"zero": SHORTEST_MS, "y_labels": MILLISECONDS, "range": (SHORTEST_MS, MILLISECONDS[-1])}
        title = "Worst wait that another writer had because of it, ms (logarithmic)"
        bars(found, waits, title, logarithmic=True, **scale).render_to_file(str(folder / "waits.svg"))


def bars(
    found: list[Standing], figures: dict[tuple[str, str], float], title: str, **options: Any
) -> pygal.Bar:
    cases = list(dict.fromkeys(case for case, _ in figures))
    tools = list(dict.fromkeys(each.tool for each in found))
    chart = pygal.Bar(
        style=STYLE,
        title=title,
        width=WIDTH,
        height=HEIGHT,
        js=[],  # nothing is loaded from elsewhere
        legend_at_bottom=True,
        legend_at_bottom_columns=4,
        truncate_legend=-1,
        truncate_label=-1,
        **options,
    )
    chart.x_labels = cases
    for tool in tools:
        chart.add(tool, [figures.get((case, tool)) for case in cases])
    return chart
