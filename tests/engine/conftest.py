import logging

import pytest

from session_cleanup.engine import pacing, pressure


@pytest.fixture
def asked_often(monkeypatch, caplog):
    """The server is asked ten times a second, and what is logged is kept."""
    caplog.set_level(logging.INFO, "session_cleanup")
    for module in (pressure, pacing):
        monkeypatch.setattr(module, "ASK_SECONDS", 0.1)
