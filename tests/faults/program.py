"""What a child process is: manage.py, in a process that has the project imported already.

Nothing here may be read from the environment before `main`: each child has one of its own.
"""

import importlib
import os
import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import connections

SETTINGS = ("tests.settings", "tests.engine.child_settings", "tests.faults.child_settings")

if not settings.configured:  # in the process that children are forked from
    os.environ |= {"DJANGO_SETTINGS_MODULE": SETTINGS[-1], "CHILD_SETTINGS": "{}"}
    django.setup()


def main(arguments: list[str], variables: dict[str, str], out: str, err: str) -> None:
    """Run a management command with these environment variables, and its output in these files."""
    for number, name in enumerate((out, err), start=1):
        os.dup2(os.open(name, os.O_WRONLY), number)
    os.environ.clear()
    os.environ.update(variables)
    for name in SETTINGS:  # each begins with what the one before it says
        module = importlib.reload(importlib.import_module(name))
    for name in filter(str.isupper, dir(module)):
        setattr(settings, name, getattr(module, name))
    for alias, database in module.DATABASES.items():  # some module may have looked at the old one already
        connections.settings[alias].update(database)
    small_slices()
    execute_from_command_line(["manage.py", *arguments])
    sys.stdout.flush()


def small_slices() -> None:
    """Along the heap take a block, or five rowids, at a time: else a small table would be one slice."""
    from session_cleanup.engine.heaps import Slice
    from session_cleanup.engine.walks import HeapWalk

    def step(walk: HeapWalk, size: float) -> Slice | None:
        return whole_step(walk, min(size, 1 if connections["default"].vendor == "postgresql" else 5))

    whole_step = HeapWalk.step
    HeapWalk.step = step  # type: ignore[method-assign]
