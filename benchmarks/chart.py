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
WIDTH, HEIGHT = 960, 620
SHORTEST_MS = 1.0  # what cannot be drawn on a logarithmic scale is drawn as this


def draw(records: list[Record], folder: Path) -> list[Path]:
    """Write throughput.svg and waits.svg into `folder`."""
    found = [each for each in standings(records) if each.tool != NOBODY]
    folder.mkdir(parents=True, exist_ok=True)
    speed, waits = folder / "throughput.svg", folder / "waits.svg"
    speeds = {(each.case.title, each.tool): each.beside_raw for each in found if each.beside_raw.values}
    worst = {(each.case.title, each.tool): each.wait_ms for each in found if each.wait_ms.values}
    figures = {key: round(spread.median, 2) for key, spread in speeds.items()}
    bars(found, figures, "Speed beside one raw statement that does the same (1 = as fast)").render_to_file(
        str(speed)
    )
    figures = {key: max(*spread.values, SHORTEST_MS) for key, spread in worst.items()}
    title = "Worst wait that another writer had because of it, ms (logarithmic)"
    bars(found, figures, title, logarithmic=True).render_to_file(str(waits))
    return [speed, waits]


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
        legend_at_bottom_columns=len(tools),
        x_label_rotation=20,
        truncate_label=-1,
        **options,
    )
    chart.x_labels = cases
    for tool in tools:
        chart.add(tool, [figures.get((case, tool)) for case in cases])
    return chart
