"""How large the next batch is, when to rest, and when a job must end before it is drained."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from session_cleanup.conf import conf
from session_cleanup.models import JobRun

EndState = JobRun.EndState
SQLITE_PAUSE_MS = 25  # waiting writers poll at most this far apart; a shorter pause can starve one
TICK = 0.05  # seconds between two looks at the stop flag while resting


@dataclass
class Pace:
    """The limits of one run: its deadline and stop flag are shared by its jobs, the rest is a job's own."""

    stopped: Callable[[], bool]
    deadline: float | None
    max_rows: int | None
    max_size: int
    sqlite: bool
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = self.max_size

    def over(self) -> EndState | None:
        """Why to end now, whatever is left to do."""
        if self.stopped():
            return EndState.STOPPED
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return EndState.TIMED_OUT
        return None

    def next_size(self, changed: int) -> int:
        """Rows the next batch may have; 0 when --max-rows is used up."""
        return self.size if self.max_rows is None else min(self.size, max(self.max_rows - changed, 0))

    def went_well(self) -> None:
        self.size = min(self.size * 2, self.max_size)

    def went_badly(self) -> None:
        self.size = max(self.size // 2, 1)

    def rest(self) -> None:
        """Pause after a batch, so that waiting writers get their turn."""
        pause = conf.PAUSE_MS
        if self.sqlite:
            pause = max(pause, SQLITE_PAUSE_MS + random.randint(0, 10))
        self.sleep(pause / 1000)

    def back_off(self, attempt: int) -> None:
        self.sleep(min(0.1 * 2**attempt, 5) * random.uniform(0.5, 1))

    def sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.over() is None:
            time.sleep(min(left, TICK))
