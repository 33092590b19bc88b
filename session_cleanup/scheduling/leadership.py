"""Any number of schedulers may run; one of them starts jobs, and has a lease to say so.

Why it is safe: leading is only about who starts jobs. That two processes don't run one job at a time is what
the job's own lease is for, so a leader that does not know yet that it was followed by another does no harm.
"""

import logging
import time
from datetime import datetime, timedelta

from django.db.models.functions import Now

from session_cleanup.conf import conf
from session_cleanup.engine.connections import database_clock
from session_cleanup.engine.leases import Lease
from session_cleanup.exceptions import LeaseBusy, LeaseLost
from session_cleanup.models import CleanupLease

logger = logging.getLogger(__name__)
LEADER = "(scheduler)"  # no job can be called so


class Leadership:
    """Whether this process leads, and its notion of the clock of the database `using`."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.lease: Lease | None = None
        self.renewed_at = 0.0  # or taken, on our own clock
        self._clock: datetime | None = None  # the database's clock, then

    def hold(self) -> bool:
        """Take the lead if nobody has it, renew it when a third of its time is over; whether we have it."""
        if self.lease is None:
            self.lease = self._take()
        elif time.monotonic() - self.renewed_at >= conf.LEASE_SECONDS / 3:
            self._renew(self.lease)
        return self.lease is not None

    @property
    def now(self) -> datetime:
        """The database's clock, without asking it again."""
        assert self._clock
        return self._clock + timedelta(seconds=time.monotonic() - self.renewed_at)

    def release(self) -> None:
        if self.lease is not None:
            self.lease.release()
            self.lease = None

    def _take(self) -> Lease | None:
        led = CleanupLease.objects.using(self.using).filter(job=LEADER, expires_at__gt=Now())
        if led.exists():
            return None
        try:
            lease = Lease.take(LEADER, self.using)
        except LeaseBusy:  # another one was faster
            return None
        self._look_at_the_clock()
        logger.info("scheduler leads")
        return lease

    def _renew(self, lease: Lease) -> None:
        try:
            lease.renew()
            self._look_at_the_clock()
        except LeaseLost:
            self.lease = None
            logger.warning("scheduler was followed by another one: it was silent for too long")

    def _look_at_the_clock(self) -> None:
        self._clock, self.renewed_at = database_clock(self.using), time.monotonic()
