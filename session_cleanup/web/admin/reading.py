"""Readings that may fail one by one: a database that is down or slow spoils its own figures only."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.utils.translation import gettext as _

from session_cleanup.conf import conf
from session_cleanup.engine.connections import Trouble, bounded, trouble
from session_cleanup.exceptions import ConfigurationError

logger = logging.getLogger(__name__)
T = TypeVar("T")
PATIENCE = 2  # after so many times SESSION_CLEANUP_STATS_TIMEOUT_MS, nothing more is read


@dataclass(frozen=True)
class Fault:
    """Why something could not be read, as a sentence."""

    message: str


class Reader:
    """The readings of one page."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._dead: dict[str, Fault] = {}  # databases that did not answer: not asked again

    def read(self, using: str, question: Callable[[], T]) -> T | Fault | None:
        """The answer; a Fault when there is none, None when it takes too long."""
        if using in self._dead:
            return self._dead[using]
        try:
            if time.monotonic() - self._started > PATIENCE * conf.STATS_TIMEOUT_MS / 1000:
                return None
            return question()
        except ConfigurationError as error:
            return Fault(str(error))
        except (DatabaseError, InterfaceError) as error:
            return self._fault(error, using)
        except Exception as error:  # a project's own policy, router or field may raise anything
            return _unknown(error, using)

    def bounded(self, using: str, question: Callable[[], T]) -> T | Fault | None:
        """The same for a question that does not bound its statements itself."""

        def ask() -> T:
            with transaction.atomic(using), bounded(connections[using], conf.STATS_TIMEOUT_MS):
                return question()

        return self.read(using, ask)

    def _fault(self, error: DatabaseError | InterfaceError, using: str) -> Fault | None:
        kind = trouble(error, using)
        if kind is Trouble.TOO_SLOW:
            return None
        if kind is Trouble.LOST or connections[using].connection is None:
            logger.warning("database does not answer database=%s error=%s", using, error)
            self._dead[using] = Fault(_("The database “%s” does not answer.") % using)
            return self._dead[using]
        if _lacks_table(error):
            return Fault(_("The database “%s” lacks a table or a column: migrate it.") % using)
        return _unknown(error, using)


def _unknown(error: Exception, using: str) -> Fault:
    logger.error("figure not read database=%s", using, exc_info=error)
    return Fault(_("Could not be read (%s). The log says more.") % type(error).__name__)


def _lacks_table(error: Exception) -> bool:
    state = getattr(error.__cause__, "sqlstate", None)
    return state in ("42P01", "42703") or str(error).startswith(("no such table", "no such column"))
