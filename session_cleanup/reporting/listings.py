"""How recurring sessions stand, for terminals, spreadsheets, programs and browsers."""

import csv
import json
from collections.abc import Mapping
from datetime import datetime
from io import StringIO

from session_cleanup.analytics.monitoring import MOST, Listing
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.reporting.exports import safe, table_lines
from session_cleanup.reporting.json import iso
from session_cleanup.reporting.page import page
from session_cleanup.reporting.tables import Cell, Table, shown

TITLE = "Recurring Sessions"
Listings = Mapping[str, Listing]


def as_text(now: datetime, listings: Listings) -> str:
    lines = [f"{TITLE} - {iso(now)}"]
    for table in map(_table, listings.values()):
        lines += ["", f"{table.title}:", *table_lines(table)]
    return "\n".join(lines) + "\n"


def as_json(now: datetime, listings: Listings) -> str:
    """By section its rows, a row an object, and whether there are more."""
    sections = {
        name: {
            "rows": [dict(zip(listing.columns, row, strict=True)) for row in listing.rows],
            "more": listing.more,
        }
        for name, listing in listings.items()
    }
    return json.dumps({"created_at": iso(now), "sections": sections}) + "\n"


def as_csv(now: datetime, listings: Listings) -> str:
    """One row a line. Raises ConfigurationError for more than one section: they have other columns."""
    if len(listings) > 1:
        raise ConfigurationError(
            f"--format csv has the columns of one section, and {', '.join(listings)} were chosen. Name one, "
            "or take --format json."
        )
    [listing] = listings.values()
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(listing.columns)
    writer.writerows([safe(_cell(cell)) for cell in row] for row in listing.rows)
    return out.getvalue()


def as_html(now: datetime, listings: Listings) -> str:
    sections = [(name, [_table(listing)]) for name, listing in listings.items()]
    return page(TITLE, str(iso(now)), sections)


def note(listing: Listing) -> str:
    """What is not shown; empty where all is."""
    return f"… and more: these are the first {MOST:,}." if listing.more else ""


def _table(listing: Listing) -> Table:
    rows = [tuple(map(_cell, row)) for row in listing.rows]
    return Table(listing.title, listing.columns, rows, note=note(listing))


def _cell(cell: str | int | None) -> Cell:
    if cell is None:
        return ""
    return shown(cell) if isinstance(cell, str) else cell


FORMATS = {"text": as_text, "json": as_json, "csv": as_csv, "html": as_html}
