"""What happens to the sessions of a series: they are activated and closed, and the log says so.

The log is written in the batch that it tells of, from the same locked rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.db.models import Case, F, Q, Value, When

from session_cleanup.models import OccurrenceLog, Session
from session_cleanup.models.history import as_stored
from session_cleanup.policies.actions import RUN_CLOCK, Effect, Rows, Update, Values, Write, resolved, written
from session_cleanup.policies.claims import Claims

Event = OccurrenceLog.Event
OVER: Values = {
    "is_active": False,
    "ended_at": F("expires_at"),
    "end_reason": Case(
        When(is_active=True, then=Value(Session.EndReason.EXPIRED.value)),
        default=Value(Session.EndReason.MISSED.value),
    ),
    "updated_at": RUN_CLOCK,
}


@dataclass(frozen=True)
class CloseOccurrence(Update):
    """End what is over, at its own end; what nothing had activated was missed."""

    values: Values = field(default_factory=lambda: OVER)
    related: Mapping[str, Values] = field(default_factory=dict)

    name: ClassVar[str] = "close"
    verb: ClassVar[str] = "closed"
    says_all: ClassVar[bool] = False

    def apply(self, rows: Rows, claims: Claims, write: Write = written) -> Effect:
        missed = rows.filter(is_active=False).count()
        event = Case(When(is_active=True, then=Value(Event.CLOSED.value)), default=Value(Event.MISSED.value))
        changed = _noted(event, rows, OVER, claims, write)
        return Effect(changed, figures={"closed": changed - missed, "missed": missed})


@dataclass(frozen=True)
class Activate(Update):
    """Activate what has begun, however long ago; what is over by now is closed as missed."""

    values: Values = field(default_factory=lambda: {"is_active": True, "updated_at": RUN_CLOCK})
    related: Mapping[str, Values] = field(default_factory=dict)

    name: ClassVar[str] = "activate"
    verb: ClassVar[str] = "activated"
    says_all: ClassVar[bool] = False

    def apply(self, rows: Rows, claims: Claims, write: Write = written) -> Effect:
        over = Q(expires_at__lte=as_stored(claims.now))
        missed = _noted(Event.MISSED, rows.filter(over), OVER, claims, write)
        begun = rows.filter(is_active=False, ended_at__isnull=True)
        activated = _noted(Event.ACTIVATED, begun, self.values, claims, write)
        return Effect(activated + missed, figures={"activated": activated, "missed": missed})


def _noted(event: Any, rows: Rows, values: Values, claims: Claims, write: Write) -> int:
    OccurrenceLog.objects.using(claims.using).note(event, rows, claims.now)
    return write(rows, resolved(values, claims))
