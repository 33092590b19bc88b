import logging
from collections.abc import Callable

import pytest

from session_cleanup.engine import pacing, pressure
from session_cleanup.engine.walks import KeysetWalk


@pytest.fixture
def asked_often(monkeypatch, caplog):
    """The server is asked ten times a second, and what is logged is kept."""
    caplog.set_level(logging.INFO, "session_cleanup")
    for module in (pressure, pacing):
        monkeypatch.setattr(module, "ASK_SECONDS", 0.1)


@pytest.fixture
def between_finding_and_acting(monkeypatch):
    """between_finding_and_acting(action): do it once, after a walk has found rows, before the batch."""

    def arrange(action: Callable[[], None]) -> None:
        step = KeysetWalk.step
        todo = [action]

        def found_then_changed(self, size):
            found = step(self, size)
            if found.keys and todo:
                todo.pop()()
            return found

        monkeypatch.setattr(KeysetWalk, "step", found_then_changed)

    return arrange
