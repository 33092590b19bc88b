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

ROOT = Path(__file__).parent.parent


class Failed(Exception):
    """A tool did not do its work; the message is what it said last."""


@contextmanager
def process(*command: str, url: str, name: str = "bench") -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "BENCH_DATABASE_URL": url, "PGAPPNAME": name},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us alone
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def work(*arguments: str, url: str, limit: float | None = None) -> dict[str, Any]:
    """What benchmarks.work says; raises Failed when it fails or takes more than `limit` seconds."""
    with process("benchmarks.work", *arguments, url=url, name="bench-tool") as child:
        try:
            said, complaint = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {limit:.0f} s") from None
        if child.returncode:
            lines = complaint.strip().splitlines() or [f"exit status {child.returncode}"]
            raise Failed(lines[-1])
        return json.loads(said)  # type: ignore[no-any-return]


class Writers:
    """Other writers, at work while the block runs; `said` has what they saw, by role."""

    def __init__(self, roles: tuple[str, ...], case: str, rows: int, url: str) -> None:
        self.arguments = (case, str(rows))
        self.roles = roles
        self.url = url
        self.said: dict[str, Any] = {}

    def __enter__(self) -> Writers:
        with ExitStack() as stack:
            self.children = {
                role: stack.enter_context(process("benchmarks.writers", role, *self.arguments, url=self.url))
                for role in self.roles
            }
            for role, child in self.children.items():
                assert child.stdout and child.stderr
                if child.stdout.readline() != "ready\n":
                    raise Failed(f"The writer {role} did not start: {child.stderr.read()}")
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *details: Any) -> None:
        with self.stack:
            if details[0] is None:
                for child in self.children.values():
                    assert child.stdin
                    child.stdin.close()
                    child.stdin = None
                for role, child in self.children.items():
                    said, complaint = child.communicate()
                    if child.returncode:
                        raise Failed(f"The writer {role} failed: {complaint}")
                    self.said[role] = json.loads(said)
