"""Every test here runs for each walk, and FAULT_RUNS times, each time with other chances."""

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunReport, RunRequest
from tests.faults.children import Child
from tests.faults.world import World

WALKS = ("keyset", "heap")
RUNS = int(os.environ.get("FAULT_RUNS", "1"))  # FAULT_RUNS=50: the long form

# Small batches, so that a fault falls into the middle of a job; bounds that no test has to wait for.
SETTINGS = {
    "BATCH_SIZE": 5,
    "LEASE_SECONDS": 5,
    "STATEMENT_TIMEOUT_MS": 2000,
    "LOCKED_WAIT_MS": 3000,
}


def settings_for(walk: str) -> dict[str, Any]:
    return SETTINGS | {"WALK": walk} | ({"BATCH_SIZE": None} if walk == "heap" else {})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "world" in metafunc.fixturenames or "walk" in metafunc.fixturenames:
        metafunc.parametrize("walk", WALKS)
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(RUNS))


LARGE = {"due": 60, "live": 30}  # where a slice is a block, and a block some rows
SMALL = {"due": 15, "live": 9}  # on SQLite, where a pause of 25 ms follows each batch


@pytest.fixture
def database(transactional_db: None) -> None:
    """Where `world` is made: the test database, unless a module has one of its own."""


@pytest.fixture
def world(database: object, walk: str, seed: int) -> Iterator[World]:
    size = SMALL if connection.vendor == "sqlite" else LARGE if walk == "heap" else {}
    made = World(walk, random.Random(seed), **size)
    yield made
    made.end()


@pytest.fixture
def finish(world: World, declare: Callable[..., None], settings: Any) -> Callable[..., RunReport]:
    """finish(): a run of all jobs, in this process and in peace, that must leave nothing behind."""

    def finish(observer: Callable[..., None] | None = None) -> RunReport:
        declare(*(shape.policy for shape in world.shapes))
        for name, value in settings_for(world.walk).items():
            setattr(settings, f"SESSION_CLEANUP_{name}", value)
        report = runner.run(RunRequest(jobs=tuple(shape.name for shape in world.shapes)), observer=observer)
        assert {job.end_state for job in report.jobs} == {"drained"}
        return report

    return finish


@pytest.fixture
def start(world: World) -> Iterator[Callable[..., Child]]:
    """start("job", ..., SETTING=value): a run of these jobs, else of all, in a process of its own."""
    children: list[Child] = []

    def start(*jobs: str, added: dict[str, str] | None = None, **settings: Any) -> Child:
        names = list(jobs) or [shape.name for shape in world.shapes]
        children.append(Child(names, added or {}, **(settings_for(world.walk) | settings)))
        return children[-1]

    yield start
    for child in children:
        child.end()
