"""Filters that show what session_report shows. None of them asks for a list of all that there is."""

import re
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from session_cleanup.analytics.monitoring import AHEAD
from session_cleanup.models import Session, SessionSeries
from session_cleanup.models.history import as_stored

OFFERED = 20  # series; of others the list of series leads here
ENDED = Q(ended_at__isnull=False)
STATES = {
    "scheduled": (_("scheduled"), Q(ended_at__isnull=True, is_active=False)),
    "active": (_("active"), Q(ended_at__isnull=True, is_active=True)),
    "closed": (_("closed"), ENDED & ~Q(end_reason__in=("cancelled", "missed"))),
    "cancelled": (_("cancelled"), ENDED & Q(end_reason="cancelled")),
    "missed": (_("missed"), ENDED & Q(end_reason="missed")),
}


class BeginsFilter(admin.SimpleListFilter):
    """Recurring sessions that are coming up, in the order in which they begin."""

    title = _("beginning")
    parameter_name = "begins"
    soon = "soon"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(self.soon, _("in the next 7 days"))]

    def queryset(self, request: HttpRequest, rows: QuerySet[Session]) -> QuerySet[Session]:
        if self.value() != self.soon:
            return rows
        found: QuerySet[Session] = rows.upcoming(timezone.now(), AHEAD)  # type: ignore[attr-defined]
        return found


class SessionStateFilter(admin.SimpleListFilter):
    """As Session.state says it."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(state, label) for state, (label, _where) in STATES.items()]

    def queryset(self, request: HttpRequest, rows: QuerySet[Session]) -> QuerySet[Session]:
        state = self.value()
        return rows.filter(STATES[state][1]) if state in STATES else rows


class SeriesFilter(admin.SimpleListFilter):
    """The newest series, and the one that was chosen in their list."""

    title = _("series")
    parameter_name = "series"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        rows = SessionSeries.objects.order_by("-pk").values_list("pk", "name")
        chosen = key_of(self.used_parameters.get(self.parameter_name))
        offered = list(rows[:OFFERED])
        if chosen is not None and chosen not in dict(offered):
            offered += rows.filter(pk=chosen)
        return [(str(pk), name) for pk, name in offered]

    def queryset(self, request: HttpRequest, rows: QuerySet[Session]) -> QuerySet[Session]:
        if self.value() is None:
            return rows
        chosen = key_of(self.value())
        return rows.none() if chosen is None else rows.filter(series=chosen)


class SeriesStateFilter(admin.SimpleListFilter):
    """As SessionSeries.state_at says it."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [("active", _("active")), ("ended", _("ended")), ("inactive", _("inactive"))]

    def queryset(self, request: HttpRequest, rows: QuerySet[SessionSeries]) -> QuerySet[SessionSeries]:
        ended = Q(ends_at__isnull=False, ends_at__lt=as_stored(timezone.now()))
        where = {
            "active": Q(is_active=True) & ~ended,
            "ended": Q(is_active=True) & ended,
            "inactive": Q(is_active=False),
        }
        state = self.value()
        return rows.filter(where[state]) if state in where else rows


def key_of(text: Any) -> int | None:
    """The key of a row that stands in a URL; None where it is none."""
    return int(text) if isinstance(text, str) and re.fullmatch(r"[0-9]{1,18}", text) else None
