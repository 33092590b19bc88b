"""Leases: a job runs in one process at a time, on however many hosts.

Why it is safe: each statement below is atomic in the database and judged by the database's clock.
`renew` is the first statement of every batch. It locks the lease row until the batch commits, so a
process whose lease was taken over cannot commit a batch (a zombie finds another token there), and nobody
can take over while a batch is under way. A dead process renews nothing, and its lease ends by itself.
"""

import logging
import os
import socket
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from session_cleanup.conf import conf
from session_cleanup.engine.connections import once_more
from session_cleanup.engine.sql import Sql, selecting, together, updating
from session_cleanup.exceptions import LeaseBusy, LeaseLost
from session_cleanup.models import CleanupLease
from session_cleanup.models.history import as_stored

logger = logging.getLogger(__name__)
OVER = Now() - timedelta(days=1)


@dataclass(frozen=True)
class Lease:
    """Our right to run `job` in the database `using`, until it is released or ends."""

    job: str
    using: str
    token: uuid.UUID

    @classmethod
    def take(cls, job: str, using: str, run_id: int | None = None, since: datetime | None = None) -> "Lease":
        """Take the lease, or raise LeaseBusy that says who has it, or has had it later than `since`.

        It does not wait for a batch of the holder: an INSERT would, even one that ignores conflicts.
        """
        rows = CleanupLease.objects.using(using).filter(job=job)
        lease = cls(job, using, uuid.uuid4())

        def take() -> bool:
            if lease.take_if_free(run_id, since):
                return True
            if rows.exists():
                return False
            _make([job], using, since=OVER)  # its first run
            return lease.take_if_free(run_id, since)

        if once_more(take, using):
            return lease
        raise LeaseBusy(_busy(job, once_more(rows.first, using), since))

    def take_if_free(self, run_id: Any, since: datetime | None = None, holder: Any = None) -> bool:
        """Take the lease if it is over, or if we have it: the answer to an earlier try may have been lost.

        `holder` says who we are, in place of host and process; like `run_id` it may be an expression.
        """
        free = Q(expires_at__lte=Now()) & (Q() if since is None else Q(since__lte=as_stored(since)))
        free |= Q(token=self.token)
        return bool(
            CleanupLease.objects.using(self.using)
            .filter(free, job=self.job)
            .update(
                token=self.token,
                fence=F("fence") + 1,
                run_id=run_id,
                holder=holder or f"{socket.gethostname()} (pid {os.getpid()})",
                since=Now(),
                expires_at=_expiry(),
            )
        )

    def renew(self) -> None:
        """Assert the lease, lock it and make it last its full time; LeaseLost if it is not ours."""
        self.assert_ours(together(self.renewal(), self.using))

    def renewal(self, question: Sql | None = None) -> list[Sql]:
        """The statements that renew the lease; their answer is for `assert_ours`.

        The token decides: a lease that ended while one statement took very long is still ours as long as
        nobody has taken it. `question` is a query: whether it finds a row is answered along with it.
        """
        ours, params = selecting(self._row().values("pk"))
        asked, more = question or ("SELECT 1 WHERE 1 = 0", ())
        answer = f"SELECT EXISTS ({ours}), EXISTS ({asked})"
        return [updating(self._row(), {"expires_at": _expiry()}), (answer, (*params, *more))]

    def assert_ours(self, answer: tuple[Any, ...] | None) -> bool:
        """Raise LeaseLost if the answer says that the lease is not ours; returns that to the question."""
        ours, found = answer or (False, False)
        if not ours:
            raise LeaseLost(
                f"The lease of job {self.job!r} was taken over by another process, so the batch under way "
                "was rolled back. Batches before it are kept. If it happens again, raise "
                "SESSION_CLEANUP_LEASE_SECONDS."
            )
        return bool(found)

    def release(self) -> None:
        """End the lease now. If the database does not let us, it ends by itself."""
        try:
            once_more(lambda: self._row().update(expires_at=Now()), self.using)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("lease not released job=%s error=%s", self.job, str(error).strip())

    def _row(self) -> QuerySet[CleanupLease]:
        return CleanupLease.objects.using(self.using).filter(job=self.job, token=self.token)


def last_taken(jobs: Iterable[str], using: str) -> dict[str, datetime]:
    """When each lease was last taken. One that never was is made, and counts from now on."""
    wanted = set(jobs)
    rows = CleanupLease.objects.using(using).filter(job__in=wanted)
    found = dict(rows.values_list("job", "since"))
    if new := wanted - found.keys():
        _make(new, using, since=Now())
        found = dict(rows.values_list("job", "since"))
    return {job: since.astimezone(UTC) for job, since in found.items()}


def _make(jobs: Iterable[str], using: str, since: Any) -> None:
    """The rows of leases, once and already over."""
    over = [CleanupLease(job=job, since=since, expires_at=OVER) for job in sorted(jobs)]
    CleanupLease.objects.using(using).bulk_create(over, ignore_conflicts=True)


def _expiry() -> CombinedExpression:
    return Now() + timedelta(seconds=conf.LEASE_SECONDS)


def _busy(job: str, holder: CleanupLease | None, since: datetime | None) -> str:
    if holder is None:
        return f"Job {job!r} is being run by another process. Wait for it."
    began, until = (f"{moment.astimezone(UTC):%H:%M:%S} UTC" for moment in (holder.since, holder.expires_at))
    if since is not None and holder.since > as_stored(since):
        return f"Job {job!r} was left to {holder.holder}, which started it at {began}, when it was due."
    return (
        f"Job {job!r} is being run by {holder.holder} since {began}. Wait for it; if that process is dead, "
        f"its lease ends by itself at {until}."
    )
