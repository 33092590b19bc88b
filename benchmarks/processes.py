"""The processes of a measurement: none of them outlives this one, whatever happens to it."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.work import begin

ROOT = Path(__file__).parent.parent
# Processes are forked from one that has Django set up and has never worked.
FRESH = multiprocessing.get_context("forkserver")
os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"


class Failed(Exception):
    """A process did not do its work; the message is what it said last."""


@contextmanager
def process(*command: str, url: str) -> Iterator[subprocess.Popen[str]]:
    """Start `python -m command` on a database; at the end of the block it is dead."""
    child = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "BENCH_DATABASE_URL": url},
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


def work(what: str, *arguments: Any, url: str, limit: float | None = None) -> dict[str, Any]:
    """What that piece of benchmarks.work found; raises Failed when it fails or takes more than `limit`."""
    FRESH.set_forkserver_preload(["benchmarks.preloaded"])  # here: whoever only imports this may fork, too
    ours, theirs = FRESH.Pipe()
    child = FRESH.Process(target=begin, args=(url, what, arguments, theirs))
    child.start()
    theirs.close()
    try:
        if not ours.poll(limit):
            raise Failed(f"given up after {limit:.0f} s")
        found, failure = ours.recv()
    except EOFError:
        child.join()
        raise Failed(f"its process died: {child.exitcode}") from None
    finally:
        child.kill()
        child.join()
    if failure:
        raise Failed(failure)
    return found  # type: ignore[no-any-return]


def result(child: subprocess.Popen[str], said: str, complaint: str) -> dict[str, Any]:
    if child.returncode:
        lines = complaint.strip().splitlines() or [f"exit status {child.returncode}"]
        raise Failed(lines[-1])
    return json.loads(said)  # type: ignore[no-any-return]


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
