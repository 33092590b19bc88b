"""What differs between PostgreSQL and SQLite: the clock, a batch's transaction, and kinds of trouble."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from session_cleanup.conf import conf
from session_cleanup.engine.sql import Sql, together

logger = logging.getLogger(__name__)
T = TypeVar("T")
LOCK_STATES = {"55P03", "40P01", "40001"}  # lock_timeout, deadlock, serialization failure
TIMEOUT_STATES = {"57014"}  # statement_timeout, or somebody cancelled the statement
LOST_STATES = ("08", "57P")  # connection exceptions; the server shuts down or starts
SQLITE_STEPS = 10_000  # virtual machine steps between two looks at the clock
BOUNDS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
OUTERMOST = (
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {0}; "
    "SET LOCAL statement_timeout = {1}; SET LOCAL idle_in_transaction_session_timeout = {2}"
)
SET_BOUNDS = "SELECT " + ", ".join(f"set_config('{name}', %s, true)" for name in BOUNDS)
# Without statistics the planner takes ten thousand keys for the whole table, and reads it all, batch by
# batch. A table without an index is read all the same, and must not be thought worth compiling for.
HINTS = "; SET LOCAL enable_seqscan = off; SET LOCAL jit = off"
CHECKED: Sql = "SET CONSTRAINTS ALL IMMEDIATE", ()
NOT_FLUSHED: Sql = "SET LOCAL synchronous_commit = off", ()
COMMITTED: Sql = "COMMIT", ()
READ_BOUNDS = "SELECT " + ", ".join(f"current_setting('{name}')" for name in BOUNDS)


SNAPSHOT = """
SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint FROM pg_current_snapshot() s
"""


class Trouble(Enum):
    """Database errors that a run can do something about."""

    LOCKED = "a lock was not to be had, or a deadlock was broken up"
    BUSY = "another process was writing to the SQLite file for too long"
    TOO_SLOW = "a statement took longer than it may"
    LOST = "the connection to the database was lost"


def database_clock(using: str) -> datetime:
    """The database's own clock, in UTC; for SQLite that is this machine's."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return datetime.fromtimestamp(float(cursor.fetchone()[0]), UTC)


def forget_if_lost(using: str) -> None:
    """Close a connection that broke, so that the next statement opens another one."""
    connection = connections[using]
    if connection.errors_occurred and not connection.in_atomic_block and not connection.is_usable():
        connection.close()


def once_more(do: Callable[[], T], using: str, again: Callable[[], T] | None = None) -> T:
    """Do it; if the connection was lost, do it on another one again. What was done without an answer is
    done twice then; if that will not do, say with `again` what to do instead."""
    try:
        return do()
    except (DatabaseError, InterfaceError) as error:
        if trouble(error, using) is not Trouble.LOST:
            raise
        logger.warning("connection lost database=%s error=%s", using, str(error).strip())
        connections[using].close()
        return (again or do)()


@contextmanager
def batch_transaction(
    using: str,
    *,
    lock_ms: int,
    statement_ms: int,
    flushed: bool = True,
    opening: Iterable[Sql] = (),
    closing: Callable[[], Iterable[Sql]] = tuple,
) -> Iterator[Any]:
    """One durable READ COMMITTED transaction whose statements and lock waits are bounded.

    It begins with the statements of `opening`, gives the first row of the last of them, and ends with
    those of `closing`; each of these takes one round trip, whatever is in it.

    SQLite takes its write lock at the start (BEGIN IMMEDIATE), so a batch never fails half-way for
    want of it. Deferred constraints are checked before the end, inside the bounds.

    Not `flushed`, its commit does not wait for the disk (PostgreSQL), and frees its locks so much sooner.
    It is as atomic as any other, and the next commit that does wait takes it along; until then, less than
    a second, a crash of the server undoes it as a whole.
    """
    connection: Any = connections[using]
    connection.ensure_connection()
    on_sqlite = connection.vendor == "sqlite"
    ending = [] if on_sqlite else [CHECKED] if flushed else [CHECKED, NOT_FLUSHED]
    with (
        _one_writer(connection) if on_sqlite else nullcontext(),
        transaction.atomic(using=using, durable=True),
        bounded(connection, statement_ms, lock_ms=lock_ms, hints=HINTS, opening=opening) as answer,
    ):
        yield answer
        if ending and not connection.savepoint_ids:  # Django's own commit has nothing left to send then
            ending.append(COMMITTED)
        together([*closing(), *ending], using)


@contextmanager
def _one_writer(connection: Any) -> Iterator[None]:
    """What a transaction on SQLite begins and ends with.

    It does not checkpoint at its end, as Django's connection does by default. That is done in the pause
    that follows, when it keeps nobody waiting, and not in the time by which batches are measured.
    """
    mode, connection.transaction_mode = connection.transaction_mode, "IMMEDIATE"
    handle = connection.connection
    (pages,) = handle.execute("PRAGMA wal_autocheckpoint").fetchone()
    handle.execute("PRAGMA wal_autocheckpoint = 0")
    try:
        yield
    finally:
        connection.transaction_mode = mode
        handle.execute(f"PRAGMA wal_autocheckpoint = {pages}")


@contextmanager
def bounded(
    connection: BaseDatabaseWrapper,
    statement_ms: int,
    *,
    lock_ms: int = 0,
    hints: str = "",
    opening: Iterable[Sql] = (),
) -> Iterator[Any]:
    """Bound the statements inside, in the transaction that is open; gives what `opening` answered."""
    idle_ms = max(statement_ms, conf.STATEMENT_TIMEOUT_MS)  # we may be slow between two short statements
    if connection.vendor == "postgresql":
        outermost = not connection.savepoint_ids
        if outermost:  # an isolation level can only be set at the very start
            bounds = OUTERMOST.format(lock_ms, statement_ms, idle_ms) + hints
            yield together([(bounds, ()), *opening], connection.alias)
        else:
            before = together([(READ_BOUNDS, ())], connection.alias)
            bounds_now = (SET_BOUNDS, (str(lock_ms), str(statement_ms), str(idle_ms)))
            yield together([bounds_now, *opening], connection.alias)
            together([(SET_BOUNDS, before or ())], connection.alias)  # the transaction goes on with these
    else:
        deadline = time.monotonic() + statement_ms / 1000
        handle = connection.connection
        handle.set_progress_handler(lambda: time.monotonic() > deadline, SQLITE_STEPS)
        try:
            yield together(opening, connection.alias)
        finally:
            handle.set_progress_handler(None, 0)


class Alone:
    """Tells whether nobody else wrote to the database between now and a later moment.

    PostgreSQL gives each writing transaction the next number, so there was none if as many were given
    out as we had, and none was under way before or after. SQLite counts for us what others commit.
    """

    def __init__(self, using: str, ours: tuple[int, int]) -> None:
        self.using = using
        self.before = self._look()
        self.session = connections[using].connection  # only within it do SQLite's numbers mean anything
        self.ours = ours

    def until(self, ours: tuple[int, int], *, to_the_last: bool = False) -> bool:
        """Whether that was so; `ours`: the writing transactions we have had, and of how many we do not know
        whether they were given a number, as at the beginning. If there was such a one, nobody can tell.

        `to_the_last`: one that began after our last, and is still under way, counts too.
        """
        if ours[1] != self.ours[1]:
            return False
        if to_the_last and connections[self.using].vendor == "postgresql":
            with connections[self.using].cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
        after = self._look()
        if connections[self.using].vendor != "postgresql":
            return after == self.before and self.session is connections[self.using].connection
        spent = after[1] - self.before[1]
        quiet = all(oldest == following for oldest, following in (self.before, after))
        return quiet and spent == ours[0] - self.ours[0] + to_the_last

    def _look(self) -> tuple[int, ...]:
        sql = SNAPSHOT if connections[self.using].vendor == "postgresql" else "PRAGMA data_version"
        with connections[self.using].cursor() as cursor:
            cursor.execute(sql)
            return tuple(cursor.fetchone())


def checkpoint(using: str) -> None:
    """Move what SQLite's write-ahead log holds into the database file, as far as nobody is in the way.

    PASSIVE waits for no reader and no writer, and makes none wait; without such a log it does nothing.
    """
    try:
        with connections[using].cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
    except (DatabaseError, InterfaceError) as error:
        logger.warning("checkpoint failed database=%s error=%s", using, str(error).strip())


def trouble(error: DatabaseError | InterfaceError, using: str) -> Trouble | None:
    """What kind of trouble this is; None for an error that trying again cannot cure."""
    state = getattr(error.__cause__, "sqlstate", None)
    failed = isinstance(error, OperationalError | InterfaceError)
    if state in LOCK_STATES:
        return Trouble.LOCKED
    if connections[using].vendor == "sqlite" and failed and "is locked" in str(error):
        return Trouble.BUSY
    if state in TIMEOUT_STATES or (failed and str(error) == "interrupted"):
        return Trouble.TOO_SLOW
    # An error without a state is the driver's own: the server did not answer any more. By now Django
    # may have connected again, so asking whether the connection is usable would not tell.
    silent = connections[using].vendor == "postgresql" and failed and state is None
    return Trouble.LOST if silent or (state or "").startswith(LOST_STATES) else None
