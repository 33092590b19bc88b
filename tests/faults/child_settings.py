"""The settings of child processes: those of the other children, with the jobs of the shapes."""

import os

from tests.engine.child_settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults"]  # noqa: F405
if _pages := os.environ.get("FAULT_MAX_PAGES"):  # a limit of the connection, not of the file
    DATABASES["default"]["OPTIONS"]["init_command"] += f"; PRAGMA max_page_count={_pages}"  # noqa: F405
SESSION_CLEANUP_PRESETS = ["collaborative"]
