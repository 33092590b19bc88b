"""How runs and job runs stand, "died" included: one query for a whole page of them.

CleanupRun.state and JobRun.state say the same of a single row, each with a query of its own.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_lazy as _

from session_cleanup.models import CleanupRun

BAD = {"failed", "lease_lost", "died"}
UNFINISHED = {"incomplete", "capped", "timed_out", "stopped", "busy", "drained_with_skips"}
GOOD = {"ok", "drained"}
DIED = _("died")


@dataclass(frozen=True)
class State:
    """A state with its name for people, and whether it is "good", "unfinished", "bad" or "neutral"."""

    value: str
    label: Any
    tone: str

    @property
    def is_bad(self) -> bool:
        return self.tone == "bad"


def with_died(rows: QuerySet[Any]) -> QuerySet[Any]:
    """CleanupRun or JobRun rows, each with `died`."""
    died = rows.model.objects.died().filter(pk=OuterRef("pk"))
    found: QuerySet[Any] = rows.annotate(died=Exists(died))
    return found


def state_of(row: Any) -> State:
    """The state of a row that `with_died` gave."""
    if row.died:
        return State("died", DIED, "bad")
    run = isinstance(row, CleanupRun)
    value = row.status if run else row.end_state or "running"
    return State(value, row.get_status_display() if run else row.get_end_state_display(), _tone(value))


def _tone(value: str) -> str:
    tones = {"bad": BAD, "unfinished": UNFINISHED, "good": GOOD}
    return next((tone for tone, values in tones.items() if value in values), "neutral")
