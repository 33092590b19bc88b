"""Tables as charts: SVG for a page that has no scripts and needs nothing from elsewhere."""

import sys
from importlib.util import find_spec
from typing import Any

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.reporting.tables import Table

COLORS = ("#0b6e4f", "#3d5a80", "#c8553d", "#e0a458")
WIDTH, HEIGHT = 960, 320
MOST_LABELS = 16  # beside each other that can be read


def drawn(table: Table) -> str:
    """The columns that `table.chart` names, as bars over its rows."""
    if find_spec("pygal") is None:  # the extra "report"
        raise ConfigurationError(
            "The HTML report needs pygal to draw its charts. Install session-cleanup[report], or take "
            "--format text."
        )
    import pygal
    from pygal.style import Style

    # For its maps it puts an import hook of a kind long past before all imports of the process.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    chart: Any = pygal.Bar(
        style=Style(background="white", plot_background="white", font_family="sans-serif", colors=COLORS),
        width=WIDTH,
        height=HEIGHT,
        js=[],
        disable_xml_declaration=True,
        legend_at_bottom=True,
        show_legend=len(table.chart) > 1,
        show_minor_x_labels=False,
        truncate_label=-1,
    )
    names = [str(row[0]) for row in table.rows]
    chart.x_labels = names
    chart.x_labels_major = names[:: len(names) // MOST_LABELS + 1]
    for column in table.chart:
        place = table.columns.index(column)
        chart.add(column, [row[place] for row in table.rows])
    chart.add_xml_filter(_without_scripts)
    svg: str = chart.render(is_unicode=True)
    return svg


def _without_scripts(root: Any) -> Any:
    """pygal always writes its settings into a script, and where it comes from into comments."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.endswith("script"):
                parent.remove(child)
    return root
