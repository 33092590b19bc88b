"""A report for terminals, spreadsheets and programs, and with pseudonyms in place of holders."""

import csv
import json
from collections.abc import Iterator, Sequence
from io import StringIO

from django.utils.crypto import salted_hmac

from session_cleanup.analytics.figures import Document
from session_cleanup.reporting.tables import SECTIONS, Cell, Share, Table

# A spreadsheet takes a cell that begins so for a formula, or drops the sign and then does.
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def anonymised(report: Document) -> Document:
    """The same, with a pseudonym for each holder: the same one as long as SECRET_KEY is."""
    usage = report["metrics"]["usage"]
    if usage is None:
        return report
    unused = [{**each, "holder": pseudonym(each["holder"])} for each in usage["unused"]]
    metrics = {**report["metrics"], "usage": {**usage, "unused": unused}}
    return {**report, "metrics": metrics}  # type: ignore[typeddict-item]


def pseudonym(holder: str) -> str:
    digest = salted_hmac("session_cleanup.holder", holder, algorithm="sha256").hexdigest()
    return f"holder-{digest[:16]}"


def as_text(report: Document, sections: Sequence[str] = tuple(SECTIONS)) -> str:
    return "\n".join(text_lines(report, sections)) + "\n"


def text_lines(report: Document, sections: Sequence[str] = tuple(SECTIONS)) -> Iterator[str]:
    yield f"Browser Session Report - {report['month']} (as of {report['created_at']})"
    for section in sections:
        for table in SECTIONS[section](report):
            yield from ("", f"{table.title}:")
            yield from _advice(table) if section == "recommendations" else table_lines(table)


def as_json(report: Document, sections: Sequence[str] = tuple(SECTIONS)) -> str:
    """The whole report; of chosen sections, their tables by title, a row an object."""
    if len(sections) == len(SECTIONS):
        return json.dumps(report) + "\n"
    tables = {
        table.title: [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        for section in sections
        for table in SECTIONS[section](report)
    }
    return json.dumps({"month": report["month"], "created_at": report["created_at"], "tables": tables}) + "\n"


def as_csv(report: Document, sections: Sequence[str] = tuple(SECTIONS)) -> str:
    """One figure a line: section, table, row, column, value."""
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(("section", "table", "row", "column", "value"))
    for section in sections:
        for table in SECTIONS[section](report):
            for name, *cells in table.rows:
                for column, cell in zip(table.columns[1:], cells, strict=True):
                    writer.writerow((section, table.title, safe(name), column, safe(cell)))
    return out.getvalue()


def safe(cell: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell


def said(cell: Cell) -> str:
    """A cell for people."""
    if cell is None:
        return "n/a"
    if isinstance(cell, Share):
        return f"{cell:.1%}"
    if isinstance(cell, float):
        return f"{cell:,.3g}" if abs(cell) < 100 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def table_lines(table: Table) -> Iterator[str]:
    """A table as aligned columns."""
    rows = [table.columns, *(tuple(map(said, row)) for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if table.rows else []:
        first, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join([first, *rest])}".rstrip()
    if not table.rows:
        yield "  none"
    if table.note:
        yield f"  {table.note}"


def _advice(table: Table) -> Iterator[str]:
    for title, priority, why, what in table.rows or [("none", "", "", "")]:
        yield f"  {f'[{priority}] ' if priority else ''}{title}"
        yield from (f"    {line}" for line in (why, what) if line)


FORMATS = {"text": as_text, "json": as_json, "csv": as_csv}
