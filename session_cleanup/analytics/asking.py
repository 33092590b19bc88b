"""How the figures are asked for: by few statements, each of which reads the table once, and not for long.

A statement that takes longer than SESSION_CLEANUP_STATEMENT_TIMEOUT_MS is given up, and what it would
have told is not known; the lease of the job, which lasts longer than that, stays ours.
"""

from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connections, transaction

from session_cleanup.conf import conf
from session_cleanup.engine.connections import Trouble, bounded, trouble

T = TypeVar("T")
# The planner takes each pair of days for a group, and would rather sort the whole table than hash it.
HINTS = "; SET LOCAL enable_sort = off; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'"


def asked(using: str, question: Callable[[], T]) -> T | None:
    """The answer; None when it takes too long."""
    try:
        with (
            transaction.atomic(using=using),
            bounded(connections[using], conf.STATEMENT_TIMEOUT_MS, hints=HINTS),
        ):
            return question()
    except (DatabaseError, InterfaceError) as error:
        if trouble(error, using) is Trouble.TOO_SLOW:
            return None
        raise
