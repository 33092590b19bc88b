"""Other users of the database, who work in the same rows at the same time: each a thread of its own."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from typing import Any

from django.db import OperationalError, connection, connections, transaction
from django.db.models import QuerySet

from tests.faults.shapes import BOOKS, SESSIONS, Counted, Shape
from tests.faults.world import World, execute

JOIN_SECONDS = 30


class Adversary:
    """Does `step` again and again, until the block ends; a step that raises fails the test."""

    def __init__(self, step: Callable[[], Any], *, pause: float) -> None:
        self.step = step
        self.pause = pause
        self.steps = 0
        self.error: Exception | None = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._live)

    def _live(self) -> None:
        try:
            while not self.over.is_set():
                self.step()
                self.steps += 1
                self.over.wait(self.pause)
        except Exception as error:
            self.error = error
        finally:
            connections.close_all()

    def __enter__(self) -> "Adversary":
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self.thread.join(JOIN_SECONDS)
        assert not self.thread.is_alive(), "an adversary hangs"
        if self.error is not None and exception[0] is None:
            raise self.error


def refresher(world: World, pause: float = 0.002) -> Adversary:
    """Users who come back, one row after another, until none that is due is left."""
    return Adversary(world.refresh, pause=pause)


@contextmanager
def locked(rows: Sequence[tuple[Counted, Any]]) -> Iterator[None]:
    """Somebody who holds these rows in one open transaction, for as long as the block lasts."""
    with ExitStack() as stack:
        held, let_go = threading.Event(), threading.Event()

        def hold() -> None:
            try:
                with transaction.atomic():
                    for counted, key in rows:
                        counted.model._base_manager.select_for_update().get(pk=key)
                    held.set()
                    let_go.wait(JOIN_SECONDS)
            finally:
                connections.close_all()

        thread = threading.Thread(target=hold)
        stack.callback(thread.join, JOIN_SECONDS)
        stack.callback(let_go.set)
        thread.start()
        assert held.wait(10), "the rows could not be locked"
        yield


class OppositeOrder(Adversary):
    """Locks children first and their rows then, the last row first: we do both the other way round."""

    def __init__(self, world: World) -> None:
        super().__init__(self.lock, pause=0.005)
        self.world = world
        self.left = 12  # so often, then it has enough

    def lock(self) -> None:
        self.left -= 1
        if not self.left:
            self.over.set()
        shape = SESSIONS if self.world.keys_due(SESSIONS) else BOOKS  # the job under way
        near = self.world.keys_due(shape)[:6]  # what a batch is about to come to
        try:
            with transaction.atomic():
                for key in reversed(near):
                    list(_children(shape, key).order_by("-pk").select_for_update())
                time.sleep(0.03)
                for key in reversed(near):
                    list(shape.model._base_manager.filter(pk=key).select_for_update())
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != "40P01":
                raise  # else it was the one whom the database sacrificed


def _children(shape: Shape, key: Any) -> QuerySet[Any]:
    rows = shape.counted[1].model._base_manager
    return rows.filter(session=key) if shape is SESSIONS else rows.filter(book=key)


class TableRewriter(Adversary):
    """VACUUM FULL, one table after another: every row gets a new place, the table a new file."""

    def __init__(self, world: World) -> None:
        tables = cycle(shape.counted[0].table for shape in world.shapes)
        super().__init__(lambda: execute(f"VACUUM FULL {next(tables)}"), pause=0.05)


class Terminator(Adversary):
    """An administrator who ends the connections of the application `name` when they are in a transaction."""

    def __init__(self, name: str, times: int) -> None:
        super().__init__(self.terminate, pause=0.02)
        self.name = name
        self.times = times
        self.ended = 0

    def terminate(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE application_name = %s AND backend_xid IS NOT NULL",
                [self.name],
            )
            self.ended += cursor.fetchone()[0]
        if self.ended >= self.times:
            self.over.set()
