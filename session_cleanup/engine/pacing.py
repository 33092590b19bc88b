"""How large the next batch is, when to rest or to wait, and when a job must end before it is drained."""

import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from session_cleanup.conf import conf
from session_cleanup.engine.pressure import ASK_SECONDS, Pressure
from session_cleanup.models import JobRun

EndState = JobRun.EndState
SQLITE_PAUSE = 0.025  # seconds; waiting writers poll this far apart; a shorter pause can starve one
FIRST_ROWS = 200
MOST_ROWS = 10_000  # keys of a batch are held in memory
TICK = 0.05  # seconds between two looks at the stop flag while resting
SQLITE_BATCH_MS = 50  # with such pauses, shorter batches would leave most of the time unused
HALF = 0.5
RISE = 0.2
GROWTH = 1.25  # of a size that lasts as long as it shall, or nearly
SLACK = 1.5  # a statement of a slice is given up when it takes so much longer than a batch shall


@dataclass
class Size:
    """How much one batch takes on, so that it lasts as long as it shall: `now` units, at most `limit`.

    The seconds of a batch are taken to be a fixed part (round trips, waiting for the processor) and a
    part for each unit, found by least squares over the batches so far, each weighing half as much as the
    next one. Only the second part becomes less in a smaller batch, so that is what the size is made
    for: were all of it put down to the units, batches would dwindle to one row on a slow network.
    """

    now: float
    limit: float = float("inf")
    units: float = 0  # mean of a batch
    seconds: float = 0
    variance: float = 0  # of the units
    covariance: float = 0  # of units and seconds
    given_up: float = float("inf")  # the size that last was too much
    ceiling: float = float("inf")  # for that
    rise: float = RISE  # of the ceiling with each batch that went well

    def __post_init__(self) -> None:
        self.now = min(self.now, self.limit)

    @property
    def whole(self) -> int:
        """In whole units, of which a batch has at least one, however slow the database is."""
        return max(int(self.now), 1)

    def took(self, units: float, seconds: float, target: float) -> None:
        """Learn from a batch of `units` that took `seconds`; the size grows at most twofold.

        While batches last about as long as they shall, it grows by little: what such batches tell of
        their parts is mostly noise.
        """
        if units < int(self.now) and seconds < target:
            return  # less than was allowed: it says little about how long a full one takes
        self._learn(units, max(seconds, 0.0001))
        rate = self.seconds / self.units  # of a unit, were there no fixed part
        known = self.variance > (0.05 * self.units) ** 2
        each = min(max(self.covariance / self.variance, rate / 10), rate) if known else rate
        fixed = self.seconds - each * self.units
        wanted = max(target - fixed, target / 2) / each
        growth = GROWTH if target * HALF < seconds < target * (1 + HALF) else 2
        self.ceiling *= 1 + self.rise
        if self.ceiling > 2 * self.given_up:  # it was nothing of the size, then
            self.given_up, self.ceiling, self.rise = float("inf"), float("inf"), RISE
        self.now = min(max(wanted, self.now / 4), self.now * growth, self.limit, self.ceiling)

    def _learn(self, units: float, seconds: float) -> None:
        weight = HALF if self.units else 1
        more_units, more_seconds = units - self.units, seconds - self.seconds
        self.variance = (1 - weight) * (self.variance + weight * more_units**2)
        self.covariance = (1 - weight) * (self.covariance + weight * more_units * more_seconds)
        self.units += weight * more_units
        self.seconds += weight * more_seconds

    def gave_up(self, units: float, seconds: float) -> None:
        """Learn from a batch of `units` that was undone after `seconds`: the next is half of it at most.

        From some size on PostgreSQL may take to another plan, and a much slower one. So that size is come
        back to by little, and by less each time that it is too much again.
        """
        self._learn(units, seconds)
        self.now = min(self.now, units) / 2
        self.given_up, self.ceiling = units, units * 0.75
        self.rise = max(self.rise / 2, RISE / 32)


@dataclass
class Pace:
    """The limits of one run: its deadline and stop flag are shared by its jobs, the rest is a job's own."""

    stopped: Callable[[], bool]
    deadline: float | None
    max_rows: int | None
    max_size: int | None
    sqlite: bool
    pressure: Pressure
    stay_alive: Callable[[], None]  # renews the lease
    rows: Size = field(init=False)  # of a batch by keys
    heap: Size = field(init=False)  # of a slice of the heap, in its own units
    waited: dict[str, float] = field(init=False)  # seconds by reason
    alive_at: float = field(init=False)  # the lease was renewed then, or later

    def __post_init__(self) -> None:
        self.rows = Size(FIRST_ROWS, self.max_size or MOST_ROWS)
        self.heap = Size(1)  # until a walk along it knows better
        self.waited = defaultdict(float)
        self.alive_at = time.monotonic()

    @property
    def target(self) -> float:
        """Seconds that a batch shall take."""
        return (max(conf.BATCH_MS, SQLITE_BATCH_MS) if self.sqlite else conf.BATCH_MS) / 1000

    @property
    def patience(self) -> float:
        """Seconds after which a statement of a slice is given up."""
        return SLACK * self.target

    def over(self) -> EndState | None:
        """Why to end now, whatever is left to do. Before it says so, it waits for a server in trouble."""
        since = time.monotonic()
        while (end := self._over()) is None and (reason := self.pressure.reason()):
            self.sleep(ASK_SECONDS)
            now = time.monotonic()
            self.waited[reason] += now - since  # with the time that asking took
            since = now
        return end

    def _over(self) -> EndState | None:
        if self.stopped():
            return EndState.STOPPED
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return EndState.TIMED_OUT
        return None

    def room(self, changed: int) -> float:
        """Rows that --max-rows still allows to change."""
        return float("inf") if self.max_rows is None else max(self.max_rows - changed, 0)

    def next_rows(self, changed: int) -> int:
        """Rows the next batch by keys may have; 0 when --max-rows is used up."""
        return int(min(self.rows.whole, self.room(changed)))

    def most_rows(self, changed: int) -> float:
        """Rows that the next batch may have at the very most."""
        return min(self.max_size or float("inf"), self.room(changed))

    def rest(self, seconds: float) -> None:
        """Pause after a batch that took `seconds`, so that waiting writers get their turn."""
        began = time.monotonic()
        self.alive_at = began - seconds
        pause = max(conf.PAUSE_MS / 1000, seconds * conf.PAUSE_PERCENT / 100)
        if self.sqlite:
            self.pressure.relieve()
            pause = max(pause, SQLITE_PAUSE + random.uniform(0, 0.01)) - (time.monotonic() - began)
        self.sleep(pause)

    def back_off(self, attempt: int) -> None:
        self.sleep(min(0.1 * 2**attempt, 5) * random.uniform(0.5, 1))

    def sleep(self, seconds: float) -> None:
        """Sleep until then, or until the job must end; the lease stays ours."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._over() is None:
            if time.monotonic() - self.alive_at > conf.LEASE_SECONDS / 3:
                self.alive_at = time.monotonic()
                self.stay_alive()
            time.sleep(min(left, TICK))
