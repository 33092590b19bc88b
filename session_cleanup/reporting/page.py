"""Tables as one HTML page that needs nothing else, and prints well."""

from collections.abc import Sequence
from pathlib import Path

from django.template import Context, Engine
from django.utils.safestring import mark_safe

from session_cleanup.analytics.figures import Document
from session_cleanup.reporting.charts import drawn
from session_cleanup.reporting.exports import said
from session_cleanup.reporting.tables import SECTIONS, Table

TEMPLATES = Engine(dirs=[str(Path(__file__).parent / "templates")])
# A page that holds nothing but itself needs nothing else; for who serves it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def as_html(report: Document, sections: Sequence[str] = tuple(SECTIONS)) -> str:
    """Raises ConfigurationError where the charts cannot be drawn."""
    title = f"Browser Session Report {report['month']}"
    return page(title, report["created_at"], [(name, SECTIONS[name](report)) for name in sections])


def page(title: str, created_at: str, sections: Sequence[tuple[str, list[Table]]]) -> str:
    shown = [(name, [_table(table) for table in tables]) for name, tables in sections]
    values = {"title": title, "created_at": created_at, "sections": shown, "policy": POLICY}
    return TEMPLATES.get_template("report.html").render(Context(values))


def _table(table: Table) -> dict[str, object]:
    return {
        "title": table.title,
        "columns": table.columns,
        "rows": [[(said(cell), isinstance(cell, int | float)) for cell in row] for row in table.rows],
        "note": table.note,
        # pygal has escaped what stands in it
        "chart": mark_safe(drawn(table)) if table.chart and table.rows else "",
    }
