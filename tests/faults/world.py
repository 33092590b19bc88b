"""A small database full of rows that are due and rows that live, and what must be true of it after a fault.

Triggers write each change down that a run makes, with whether the row was a live one at that moment:
what a run did is known from the tables themselves, whatever its process says or could not say any more.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.db.models.expressions import RawSQL

from session_cleanup.engine.connections import database_clock
from session_cleanup.models import Claim, CleanupLease, CleanupRun, JobRun
from tests.faults.shapes import SHAPES, Counted, Shape

Key = tuple[str, str]  # table, primary key
DAY = timedelta(days=1)
DAWDLE_SECONDS = 0.03
AWAITED = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
NEXT = 6  # rows that a walk is about to come to
NOTHING: Mapping[Shape, Any] = {}
ENDED = {*JobRun.EndState.values, "died"} - {"", "disabled"}

TABLES = """
CREATE TABLE fault_log (tab text, pk text, live boolean);
CREATE TABLE fault_known (tab text, pk text, at double precision);
"""
# A change in another table can't be kept out by a lock on the row: it counts once the writer knew of its
# commit before the transaction of the batch began. SQLite has one writer, so there it counts at once.
POSTGRES_BEGAN = "extract(epoch FROM transaction_timestamp())"
WRITE_DOWN = """
INSERT INTO fault_log VALUES ('{table}', CAST(OLD.id AS text), {live} OR EXISTS (
    SELECT 1 FROM fault_known k WHERE k.tab = '{table}' AND k.pk = CAST(OLD.id AS text) AND k.at < {began}
));
"""
POSTGRES_TRIGGER = """
CREATE FUNCTION fault_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$;
CREATE TRIGGER fault_{table} AFTER {event} ON {table} FOR EACH ROW {when} EXECUTE FUNCTION fault_{table}();
"""
SQLITE_TRIGGER = "CREATE TRIGGER fault_{table} AFTER {event} ON {table} FOR EACH ROW {when} BEGIN {body} END;"
# Few rows in a block, so that a small table has many of them; only new blocks obey.
SPREAD = "ALTER TABLE {table} SET (fillfactor = 10);"
GATHER = "ALTER TABLE {table} RESET (fillfactor);"


def on_postgres() -> bool:
    return bool(connection.vendor == "postgresql")


def execute(script: str) -> None:
    """Run statements, none of which has parameters."""
    with connection.cursor() as cursor:
        if on_postgres():
            cursor.execute(script)
        else:
            cursor.connection.executescript(script)


@dataclass
class World:
    """The rows of some shapes, the walk that runs take through them, and a source of chance."""

    walk: str
    chance: random.Random
    shapes: Sequence[Shape] = tuple(SHAPES)
    due: int = 25
    live: int = 15

    def __post_init__(self) -> None:
        self.line: datetime = database_clock("default")
        for shape in self.shapes:
            for counted in shape.counted if on_postgres() else ():
                execute(SPREAD.format(table=counted.table))
            shape.fill(self.due, self.live, self.line)
        execute(TABLES + "".join(map(self._trigger, self._counted())))

    def end(self) -> None:
        drop = (
            "DROP FUNCTION fault_{table} CASCADE;" + GATHER
            if on_postgres()
            else "DROP TRIGGER fault_{table};"
        )
        execute("".join(drop.format(table=each.table) for each in self._counted()))
        execute("DROP TABLE fault_log; DROP TABLE fault_known;")

    def keys_due(self, shape: Shape) -> list[Any]:
        """In the order of the walk."""
        order: Sequence[Any] = [*shape.policy.select.columns, "pk"]
        if self.walk == "heap":
            place = "ctid" if on_postgres() else "rowid"
            order = [RawSQL(f"{shape.counted[0].table}.{place}", [])]
        return list(shape.due(self.line).order_by(*order).values_list("pk", flat=True))

    def changes(self) -> dict[Key, int]:
        """How often each row was changed by a run."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT tab, pk, count(*) FROM fault_log GROUP BY tab, pk")
            return {(table, key): count for table, key, count in cursor.fetchall()}

    def changed(self, shape: Shape) -> int:
        """How many rows of the shape's own model runs have changed."""
        return sum(table == shape.counted[0].table for table, _ in self.changes())

    def middle(self, shape: Shape) -> Any:
        """The key of the row that the walk finds in its middle."""
        return self.keys_due(shape)[self.due // 2]

    def refresh(self) -> None:
        """Make a row live that is due, as its user would: one of those that a walk comes to next."""
        shape = self.chance.choice(self.shapes)
        due = self.keys_due(shape)[:NEXT]
        if not due:
            return
        key = self.chance.choice(due)
        change = self._change(shape)
        with transaction.atomic() if on_postgres() else nullcontext():
            changed = change(key)
            time.sleep(
                self.chance.uniform(0, 0.01)
            )  # a batch may wait for our lock, and go on when we commit
        if changed and change is shape.rescue:
            with connection.cursor() as cursor:
                at = "extract(epoch FROM clock_timestamp())" if on_postgres() else "0"
                pk = shape.model._meta.pk.get_db_prep_value(key, connection)
                table = shape.counted[0].table
                cursor.execute(f"INSERT INTO fault_known VALUES (%s, %s, {at})", [table, str(pk)])

    def _dawdle(self) -> None:
        """Commit as soon as somebody waits for us: that one has judged the row before, if too early."""
        deadline = time.monotonic() + DAWDLE_SECONDS
        while on_postgres() and time.monotonic() < deadline:
            with connection.cursor() as cursor:
                cursor.execute(AWAITED)
                if cursor.fetchone()[0]:
                    return

    def _change(self, shape: Shape) -> Callable[[Any], int]:
        """One of the ways in which the users of this shape come back."""
        ways = [lambda key: shape.refresh(key, self.line)] * 2
        if shape.move_away is not None:
            ways.append(lambda key: shape.move_away(key, self.line))
        return self.chance.choice([*ways, *([shape.rescue] * 2 if shape.rescue else [])])

    def time_passes(self) -> None:
        """All leases and heartbeats lie in the past, as if the processes of them had died long ago."""
        CleanupLease.objects.update(expires_at=F("expires_at") - DAY)
        JobRun.objects.update(heartbeat_at=F("heartbeat_at") - DAY)
        CleanupRun.objects.update(started_at=F("started_at") - DAY)

    def assert_true(self) -> None:
        """Every due row changed once, no live row touched, the history true."""
        self.assert_rows()
        self.time_passes()
        self._assert_history()

    def assert_rows(self, left: Mapping[Shape, Any] | None = NOTHING) -> None:
        """That of the rows alone; `left` are still due: one key of a shape. None: any may be."""
        changes = self.changes()
        assert [key for key, count in changes.items() if count != 1] == []
        assert self._touched_alive() == []
        for shape in self.shapes:
            if left is not None:
                assert self.keys_due(shape) == ([left[shape]] if shape in left else []), shape.name
            assert list(shape.half_done()) == [], shape.name

    def _assert_history(self) -> None:
        rows = Counter(table for table, _ in self.changes())
        for shape in self.shapes:
            jobs = JobRun.objects.filter(job=shape.name)
            assert sum(job.changed for job in jobs) == rows[shape.counted[0].table], shape.name
            related = sum((Counter(job.related) for job in jobs), Counter[str]())
            seen = {each.model._meta.label: rows[each.table] for each in shape.counted[1:] if each.in_history}
            assert related == Counter(seen), shape.name
            assert {job.walk for job in jobs if job.batches} <= {self.walk}, shape.name
        assert {job.state for job in JobRun.objects.all()} <= ENDED
        assert "running" not in {run.state for run in CleanupRun.objects.all()}
        assert not Claim.objects.exists()

    def _touched_alive(self) -> list[Key]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tab, pk FROM fault_log WHERE live")
            return list(cursor.fetchall())

    def _counted(self) -> list[Counted]:
        return [counted for shape in self.shapes for counted in shape.counted]

    def _trigger(self, counted: Counted) -> str:
        began = POSTGRES_BEGAN if on_postgres() else "1"
        live = counted.live.format(line=f"{self.line:%Y-%m-%d %H:%M:%S}")
        body = WRITE_DOWN.format(table=counted.table, live=live, began=began)
        template = POSTGRES_TRIGGER if on_postgres() else SQLITE_TRIGGER
        when = f"WHEN ({counted.done})" if counted.done else ""
        return template.format(table=counted.table, event=counted.event, when=when, body=body)
