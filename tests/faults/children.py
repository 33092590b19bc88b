"""Runs in processes of their own, each ended by its own id when the test is over."""

import json
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

from django.db.models import QuerySet

from session_cleanup.models import JobRun
from tests.engine.processes import environment
from tests.faults.program import main

SECONDS = 60  # no run of these tests takes half as long
PREPARED = get_context("forkserver")  # forks a process that has imported everything already: soon there
PREPARED.set_forkserver_preload(["tests.faults.program"])
ANEW = get_context("spawn")


class Child:
    """One `cleanup_sessions --format json` with its settings, and with `added` in its environment."""

    def __init__(self, jobs: list[str], added: dict[str, str], **settings: Any) -> None:
        # Files: a pipe that nobody reads would stop a child that has much to say.
        self.out, self.err = (tempfile.NamedTemporaryFile("w+") for _ in range(2))  # noqa: SIM115
        variables = environment(**settings) | added
        context: Any = ANEW if "LD_PRELOAD" in added else PREPARED
        arguments = ["cleanup_sessions", *jobs, "--format", "json"]
        self.process = context.Process(target=main, args=(arguments, variables, self.out.name, self.err.name))
        with patch.dict(os.environ, variables):
            self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid
        return self.process.pid

    @property
    def ended(self) -> bool:
        return not self.process.is_alive()

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = SECONDS) -> int:
        """Its exit status; a run that hangs fails the test."""
        self.process.join(seconds)
        assert self.ended, f"a run hangs: {self.errors()}"
        return self.process.exitcode

    def report(self) -> dict[str, Any]:
        """What it said of its jobs, by name."""
        self.wait()
        self.out.seek(0)
        said = self.out.read()
        assert said, self.errors()
        return {job["name"]: job for job in json.loads(said)["jobs"]}

    def errors(self) -> str:
        self.err.seek(0)
        return self.err.read()

    def end(self) -> None:
        if not self.ended:
            self.process.kill()  # one that is stopped, too
            self.process.join(SECONDS)
        self.out.close()
        self.err.close()


def until(happened: Callable[[], Any], what: str, *, seconds: float = 20, every: float = 0.01) -> Any:
    """Wait for it; what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(every)
    return found


def until_batches(at_least: int, runs: QuerySet[JobRun], child: Child) -> None:
    """Until one of these job runs has had so many batches, or there will be no more of them."""
    until(lambda: child.ended or runs.filter(batches__gte=at_least).exists(), f"batch {at_least}")
