"""Signs that the server is in trouble, for which a job waits between two of its batches.

Each is a figure of PostgreSQL's, held against a limit that is a setting. All that are set are asked for in
one statement, at most once a second; where none is set, nothing is asked. A figure that the database
hides from our role is never taken for a good one in silence: a warning says so.
"""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError, connections

from session_cleanup.conf import PREFIX, conf
from session_cleanup.engine.connections import checkpoint, trouble

logger = logging.getLogger(__name__)
ASK_SECONDS = 1.0
GROWTH_SECONDS = 60.0  # a burst is made up for by a wait of this length at most


@dataclass(frozen=True)
class Sign:
    """A figure of the server's and the setting that limits it."""

    reason: str
    setting: str
    figure: str  # SQL; NULL: nothing of the kind is there
    hidden: str = "false"  # SQL: whether there is something that our role may not look into
    grows: bool = False  # the figure is a total; what counts is its growth in a minute


SIGNS = (
    # A standby that has replayed everything keeps its last lag for a while: it does not count. When
    # replay stands still, replay_lag grows. One that is not connected has no row.
    Sign(
        "replica_lag",
        "MAX_REPLICA_LAG_MS",
        "(SELECT extract(epoch FROM max(replay_lag)) * 1000 FROM pg_stat_replication"
        " WHERE replay_lsn < pg_current_wal_lsn())",
        hidden="EXISTS (SELECT FROM pg_stat_replication WHERE state IS NULL)",
    ),
    # What keeps VACUUM from removing the rows that we leave dead; a vacuum itself does not.
    Sign(
        "long_transaction",
        "MAX_TRANSACTION_SECONDS",
        "(SELECT extract(epoch FROM clock_timestamp() - min(began)) FROM ("
        "SELECT xact_start AS began FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'"
        " UNION ALL SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()) AS begun)",
        hidden="EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
        " AND usesysid IS NOT NULL AND backend_type IS NULL)",
    ),
    # Between batches we hold no lock, so nobody waits for us; but they would, behind those they wait for.
    Sign(
        "waiters",
        "MAX_WAITERS",
        "(SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND locktype <> 'advisory' AND datname = current_database())",
    ),
    Sign(
        "wal",
        "MAX_WAL_MB_PER_MINUTE",
        "pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') / 1048576",
        grows=True,
    ),
    Sign(
        "dead_tuples",
        "MAX_DEAD_TUPLES",
        "(SELECT sum(pg_stat_get_dead_tuples(relid)) FROM (SELECT %(table)s::regclass AS relid"
        " UNION SELECT relid FROM pg_partition_tree(%(table)s::regclass)) AS parts)",
    ),
)


Limits = dict[Sign, int]


class Pressure:
    """The state of the server that one job runs in, as far as the settings ask for it."""

    def __init__(self, job: str, using: str, table: str) -> None:
        self.job = job
        self.using = using
        self.table = table
        self.found: str | None = None
        self.asked_at = -math.inf
        self.grown: dict[Sign, tuple[float, float]] = {}  # when a total was how much
        self.warned: set[Sign] = set()

    def reason(self) -> str | None:
        """Which limit is exceeded, such as "replica_lag"; None while the job may go on."""
        limits = {sign: limit for sign in SIGNS if (limit := getattr(conf, sign.setting)) is not None}
        if not limits or connections[self.using].vendor != "postgresql":
            return None
        if time.monotonic() - self.asked_at >= ASK_SECONDS:
            self.asked_at = time.monotonic()
            before, self.found = self.found, self._exceeded(limits)
            if before and not self.found:
                logger.info("going on job=%s reason=%s", self.job, before)
        return self.found

    def relieve(self) -> None:
        """Checkpoint SQLite's write-ahead log, which no batch does; nobody waits for that."""
        checkpoint(self.using)

    def _exceeded(self, limits: Limits) -> str | None:
        for sign, figure in self._figures(limits):
            if figure > limits[sign]:
                if sign.reason != self.found:
                    logger.warning(
                        "waiting job=%s reason=%s figure=%.0f limit=%d setting=%s%s",
                        *(self.job, sign.reason, figure, limits[sign], PREFIX, sign.setting),
                    )
                return sign.reason
        return None

    def _figures(self, limits: Limits) -> Iterator[tuple[Sign, float]]:
        answers = self._ask([sql for sign in limits for sql in (sign.figure, sign.hidden)])
        for sign, figure, hidden in zip(limits, answers[::2], answers[1::2], strict=False):
            if hidden and sign not in self.warned:
                self.warned.add(sign)
                logger.warning(
                    "not all can be seen job=%s setting=%s%s: grant this role pg_monitor",
                    *(self.job, PREFIX, sign.setting),
                )
            yield sign, self._growth(sign, figure, limits[sign]) if sign.grows else float(figure or 0)

    def _ask(self, questions: list[str]) -> tuple[Any, ...]:
        quoted = connections[self.using].ops.quote_name(self.table)
        try:
            with connections[self.using].cursor() as cursor:
                cursor.execute(f"SELECT {', '.join(questions)}", {"table": quoted})
                return tuple(cursor.fetchone())
        except (DatabaseError, InterfaceError) as error:
            if trouble(error, self.using) is None:
                raise
            logger.warning("server not asked job=%s error=%s", self.job, str(error).strip())
            return ()  # if the connection is lost, the next batch finds out and knows what to do

    def _growth(self, sign: Sign, total: Any, limit: int) -> float:
        """How much a total has grown a minute since it last grew by less than its limit."""
        now = time.monotonic()
        since, before = self.grown.setdefault(sign, (now, float(total)))
        a_minute = (float(total) - before) * 60 / max(now - since, ASK_SECONDS)
        if a_minute <= limit or now - since >= GROWTH_SECONDS:
            self.grown[sign] = (now, float(total))
        return a_minute
