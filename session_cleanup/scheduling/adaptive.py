"""Jobs that run more often while much is due, and less often while little is.

The interval that would have found as many rows due as SESSION_CLEANUP_ADAPTIVE says follows from the last
two runs: so many rows had become due in the time between them. A run that did not get to the end found more
than it could do, so the next one comes in half the time. An interval changes at most twofold, and stays
within its bounds. It is made of the history alone, so that whoever leads comes to the same.
"""

import logging
from datetime import timedelta

from django.db import router

from session_cleanup.conf import conf
from session_cleanup.models import CleanupRun, JobRun

logger = logging.getLogger(__name__)
EndState = JobRun.EndState
DRAINED = (EndState.DRAINED, EndState.DRAINED_WITH_SKIPS)
MEASURED = (*DRAINED, EndState.CAPPED, EndState.TIMED_OUT, EndState.STOPPED)
MINUTE = timedelta(minutes=1)


class Moved:
    """A job whose interval follows its backlog."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.said: timedelta | None = None

    def interval(self) -> timedelta | None:
        """The time from its last start to its next one; None as long as it has not run twice."""
        runs = JobRun.objects.using(router.db_for_write(CleanupRun)).filter(
            job=self.job, end_state__in=MEASURED
        )
        last, before = [*runs.select_related("run").order_by("-pk")[:2], None, None][:2]
        if last is None or before is None:
            return None
        gap = max(last.run.started_at - before.run.started_at, MINUTE)
        drained = last.end_state in DRAINED
        every = interval_after(gap, last.changed, drained=drained, bounds=conf.ADAPTIVE[self.job])
        if every != self.said:
            logger.info(
                "job moved job=%s every_minutes=%g before=%s backlog=%s in_minutes=%g drained=%s bounds=%s",
                self.job,
                every / MINUTE,
                self.said and f"{self.said / MINUTE:g}",
                last.changed,
                gap / MINUTE,
                drained,
                "%s-%s rows=%s" % tuple(conf.ADAPTIVE[self.job]),  # noqa: UP031
            )
            self.said = every
        return every


def interval_after(gap: timedelta, backlog: int, *, drained: bool, bounds: tuple[int, int, int]) -> timedelta:
    """The next interval after one of `gap`, at whose end so many rows were due; in whole minutes."""
    least, most, rows = bounds
    factor = 0.5 if not drained else 2 if not backlog else min(max(rows / backlog, 0.5), 2)
    return min(max(round(gap * factor / MINUTE), least), most) * MINUTE
