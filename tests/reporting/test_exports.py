"""A report as text, CSV, JSON and HTML: what is hostile in it does nothing, and no secret is in it."""

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from io import StringIO

import pytest

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.reporting import charts
from session_cleanup.reporting.exports import anonymised, as_csv, as_json, as_text, pseudonym, safe, said
from session_cleanup.reporting.page import as_html
from session_cleanup.reporting.tables import SECTIONS, Share, shown
from tests.reports import HOSTILE

FORMS = {"text": as_text, "json": as_json, "csv": as_csv, "html": as_html}
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Tags(HTMLParser):
    """Refuses what is not closed; keeps every tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("form", FORMS)
def test_no_payload_is_in_any_form(document, form):
    assert "MARKER" not in FORMS[form](document)


@pytest.mark.parametrize("form", FORMS)
def test_no_holder_is_in_an_anonymised_form(document, form):
    whole = FORMS[form](document)
    assert "alert(1)" in whole
    assert "HYPERLINK" in whole

    hidden = FORMS[form](anonymised(document))
    assert "alert(1)" not in hidden
    assert "HYPERLINK" not in hidden
    assert pseudonym(HOSTILE) in hidden


def test_a_pseudonym_is_the_same_for_one_key_and_tells_nothing_without_it(settings):
    settings.SECRET_KEY = "one"
    first = pseudonym("lead-1")
    assert first == pseudonym("lead-1") != pseudonym("lead-2")
    assert re.fullmatch(r"holder-[0-9a-f]{16}", first)

    settings.SECRET_KEY = "another"
    assert pseudonym("lead-1") != first


def test_anonymising_leaves_the_report_itself_alone(document):
    before = json.dumps(document)
    anonymised(document)

    assert json.dumps(document) == before


def test_a_report_without_usage_can_be_anonymised(document):
    document["metrics"]["usage"] = None

    assert anonymised(document) == document


def test_text_holds_no_control_characters(document):
    text = as_text(document)

    assert all(sign.isprintable() or sign == "\n" for sign in text)
    assert "\\u001b[2J\\u202e" in text


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\n=x", "＝1"])
def test_no_cell_is_a_formula(cell):
    assert safe(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["lead-1", "a=b", -5, 0.5, None, ""])
def test_other_cells_stay_as_they_are(cell):
    assert safe(cell) == cell


def test_csv_is_one_figure_a_line(document):
    lines = list(csv.reader(StringIO(as_csv(document))))

    assert lines[0] == ["section", "table", "row", "column", "value"]
    assert {len(line) for line in lines} == {5}
    assert {line[0] for line in lines[1:]} == set(SECTIONS)
    assert ["summary", "Sessions now", "total", "sessions", "4"] in lines
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "@", "+"))]


def test_json_is_the_report_itself(document):
    assert json.loads(as_json(document)) == document

    part = json.loads(as_json(document, ["summary"]))
    assert list(part["tables"]) == ["Scores", "Sessions now", "Beside the month before"]
    assert {"state": "total", "sessions": 4} in part["tables"]["Sessions now"]


def test_only_the_sections_asked_for(document):
    text = as_text(document, ["performance"])

    assert "Storage by state:" in text
    assert "Scores:" not in text


def test_the_page_is_well_formed_and_needs_nothing_else(document):
    page = as_html(document)
    tags = Tags(page).seen

    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(tag for tag, _ in tags)
    assert not [
        (tag, name)
        for tag, attributes in tags
        for name in attributes
        if name.startswith("on") or name in ("src", "href", "xlink:href", "action")
    ]
    assert not re.search(r"@import|url\(", page)
    outside = {match for match in re.findall(r"https?://[^\s\"'<]+", page) if "www.w3.org/" not in match}
    assert outside == set()
    assert "@media print" in page
    assert "default-src &#x27;none&#x27;" in page


def test_each_chart_is_a_drawing_of_its_figures(document):
    drawings = re.findall(r"<svg.*?</svg>", as_html(document), re.DOTALL)

    assert len(drawings) == 3
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert [each for each in root.iter() if "rect" in (each.get("class") or "").split()]


def test_hostile_names_are_text_in_the_page(document):
    page = as_html(document)

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;/td&gt;&lt;script&gt;" in page
    assert "<script" not in page


def test_without_pygal_the_page_is_refused_with_the_cure(document, monkeypatch):
    monkeypatch.setattr(charts, "find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=r"Install session-cleanup\[report\]"):
        as_html(document)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "n/a"),
        (Share(0.5), "50.0%"),
        (1234567, "1,234,567"),
        (0.0123, "0.0123"),
        (1234.5, "1,234"),
        ("x", "x"),
    ],
)
def test_cells_for_people(cell, text):
    assert said(cell) == text


def test_what_is_shown_of_a_name():
    assert shown("Zoë 李") == "Zoë 李"
    assert shown("a\x00\x1b\u202eb") == "a\\u0000\\u001b\\u202eb"


def test_what_is_not_known_is_said_so(document):
    document["metrics"]["usage"] = None
    document["metrics"]["scores"]["health"] = None

    assert re.search(r"health +n/a", as_text(document))
    assert "Not known: the queries took too long." in as_html(document)
