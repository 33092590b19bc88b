"""Who may call the endpoint: whoever sends one of SESSION_CLEANUP_CRON_SECRETS as a bearer token.

Why it is safe: without secrets nobody is let in. All secrets are compared, as digests of the bytes that were
sent, in a time that depends on neither. What was sent is never logged.
"""

import hashlib
import hmac
import logging
import threading
import time
from enum import Enum

from django.http import HttpRequest

from session_cleanup.conf import conf

logger = logging.getLogger(__name__)
MINUTE = 60


class Bearer(Enum):
    KNOWN = "sent one of the secrets"
    NOBODY = "sent nothing"
    WRONG = "sent something else"
    TOO_MANY = "sent something else, as too many did in the last minute"
    CLOSED = "there are no secrets"


def bearer_of(request: HttpRequest) -> Bearer:
    if not conf.CRON_SECRETS:
        return Bearer.CLOSED
    header = request.META.get("HTTP_AUTHORIZATION", "")
    if not header:
        return Bearer.NOBODY
    if _is_known(header):
        return Bearer.KNOWN
    return Bearer.WRONG if failures.allow() else Bearer.TOO_MANY


def _is_known(header: str) -> bool:
    scheme, _, token = header.partition(" ")
    # Servers hand headers on as Latin-1, whatever bytes they were.
    sent = _digest(token.strip(" ").encode("latin-1", "backslashreplace"))
    matches = [hmac.compare_digest(sent, _digest(secret.encode())) for secret in conf.CRON_SECRETS]
    return any(matches) and scheme.lower() == "bearer"


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


class Failures:
    """Counts what was wrong in the last minute, in this process.

    Those who know a secret are let in all the same: behind a proxy all callers have one address, and else
    anybody could keep the jobs from running.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = 0.0
        self._count = 0

    def allow(self) -> bool:
        """Count one; False if it is one too many."""
        with self._lock:
            if time.monotonic() - self._since >= MINUTE:
                self._since, self._count = time.monotonic(), 0
            self._count += 1
            count = self._count
        if count == conf.CRON_FAILURES_PER_MINUTE + 1:
            logger.warning("too many wrong secrets in_a_minute=%s", count)
        return count <= conf.CRON_FAILURES_PER_MINUTE

    def seconds_left(self) -> int:
        """Until the minute is over."""
        return max(1, int(self._since + MINUTE - time.monotonic()))

    def forget(self) -> None:
        with self._lock:
            self._since, self._count = 0.0, 0


failures = Failures()
