"""Fixtures that several files here use."""

import sys

import pytest


@pytest.fixture
def project(tmp_path):
    """A project whose paths need quoting, with an interpreter that is a link, as in a venv."""
    folder = tmp_path / "my shop 100%"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    (folder / "manage.py").touch()
    return {
        "project_dir": str(folder),
        "manage": str(folder / "manage.py"),
        "python": str(folder / "python"),
        "env_file": str(folder / ".env"),
        "log_file": str(tmp_path / "my logs" / "cleanup 1%.log"),
        "writable": (str(folder), "/home/alice/data"),
    }
