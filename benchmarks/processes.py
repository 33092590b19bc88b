"""The processes of a measurement: none of them outlives this one, whatever happens to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.writers import TOOL

ROOT = Path(__file__).parent.parent


class Failed(Exception):
    """A process did not do its work; the message is what it said last."""


@contextmanager
def process(*command: str, url: str, name: str = "bench") -> Iterator[subprocess.Popen[str]]:
    """Start `python -m command` on a database; at the end of the block it is dead."""
    child = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "BENCH_DATABASE_URL": url, "PGAPPNAME": name},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us, and we end it
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()


def work(*arguments: str, url: str, limit: float | None = None) -> dict[str, Any]:
    """What benchmarks.work says; raises Failed when it fails or takes more than `limit` seconds."""
    with process("benchmarks.work", *arguments, url=url, name=TOOL) as child:
        try:
            said, complaint = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"given up after {limit:.0f} s") from None
        return result(child, said, complaint)


def result(child: subprocess.Popen[str], said: str, complaint: str) -> dict[str, Any]:
    if child.returncode:
        lines = complaint.strip().splitlines() or [f"exit status {child.returncode}"]
        raise Failed(lines[-1])
    return json.loads(said.splitlines()[-1])  # type: ignore[no-any-return] # commands talk before it


@contextmanager
def writers(roles: tuple[str, ...], case: str, rows: int, url: str) -> Iterator[dict[str, Any]]:
    """Other writers are at work while the block runs; after it, the dict has what each role saw."""
    said: dict[str, Any] = {}
    with ExitStack() as stack:
        children = {
            role: stack.enter_context(process("benchmarks.writers", role, case, str(rows), url=url))
            for role in roles
        }
        for child in children.values():
            if child.stdout is None or child.stdout.readline() != "ready\n":
                raise result_of_failure(child)
        yield said
        for child in children.values():  # end of input ends it, all at the same time
            if child.stdin:
                child.stdin.close()
                child.stdin = None
        for role, child in children.items():
            said[role] = result(child, *child.communicate())


def result_of_failure(child: subprocess.Popen[str]) -> Failed:
    _, complaint = child.communicate()
    return Failed(f"A writer did not start: {complaint.strip()}")
