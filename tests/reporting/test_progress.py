"""Progress is shown only where a person watches."""

import io

import pytest

from session_cleanup.reporting.progress import progress_on


class Terminal(io.StringIO):
    def isatty(self):
        return True


OPTIONS = {"dry_run": False, "format": "text"}


@pytest.mark.parametrize(
    ("stream", "options"),
    [
        (io.StringIO(), OPTIONS),
        (Terminal(), {**OPTIONS, "dry_run": True}),
        (Terminal(), {**OPTIONS, "format": "json"}),
    ],
)
def test_nobody_watches(stream, options):
    with progress_on(stream, options) as observer:
        assert observer is None

    assert stream.getvalue() == ""


def test_a_terminal_shows_the_rows_of_each_job(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()

    with progress_on(terminal, OPTIONS) as observer:
        observer("first", 10, None)
        observer("first", 20, 0.5)
        observer("second", 5, None)

    assert "first" in terminal.getvalue()
    assert "20 rows" in terminal.getvalue()
    assert "second" in terminal.getvalue()
