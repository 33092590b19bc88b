"""Single occurrences of series: the exceptions from their rules, and the log of what became of them."""

from datetime import datetime
from typing import Any

from django.db import connections, models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Greatest
from django.utils.translation import gettext_lazy as _

from session_cleanup.models.history import as_stored
from session_cleanup.models.selected import inserting_selected
from session_cleanup.models.series import SessionSeries
from session_cleanup.models.sessions import Session
from session_cleanup.models.wall import WallTimeField


class SeriesException(models.Model):
    """A day on which a series is not as its rule says; it holds for all that the rule gives on that day."""

    class Kind(models.TextChoices):
        SKIPPED = "skipped", _("skipped")  # there is no session, or it was deleted
        CANCELLED = "cancelled", _("cancelled")  # there is one, and it is called off
        MOVED = "moved", _("moved")  # it begins at another time

    id = models.BigAutoField(primary_key=True)
    series = models.ForeignKey(
        SessionSeries, models.CASCADE, verbose_name=_("series"), related_name="exceptions", db_index=False
    )
    date = models.DateField(_("date"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind, default=Kind.SKIPPED)
    moved_to = WallTimeField(_("moved to"), null=True, blank=True)

    class Meta:
        verbose_name = _("exception")
        verbose_name_plural = _("exceptions")
        constraints = [
            models.UniqueConstraint(fields=["series", "date"], name="series_exception_once"),
            models.CheckConstraint(
                condition=Q(kind="moved", moved_to__isnull=False)
                | (~Q(kind="moved") & Q(moved_to__isnull=True)),
                name="series_exception_moved",
                violation_error_message=_("What is moved has a new time, and nothing else has."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.date}: {self.get_kind_display()}"


class OccurrenceLogQuerySet(models.QuerySet["OccurrenceLog"]):
    def noting(
        self, event: Any, sessions: models.QuerySet[Session], at: datetime
    ) -> tuple[str, tuple[Any, ...]]:
        """The statement that writes down what becomes of the sessions: an event, or an expression that gives
        each its own."""
        now = Value(as_stored(at), models.DateTimeField())
        return inserting_selected(
            self.model,
            sessions.order_by("pk"),
            event=event if hasattr(event, "resolve_expression") else Value(str(event)),
            at=now,
            series_uid=F("series__uid"),
            series_name=Coalesce(F("series__name"), Value("")),
            session_uid=F("uid"),
            session_title=F("title"),
            occurrence=F("occurrence"),
            starts_at=F("starts_at"),
            over_at=Greatest(Coalesce(F("expires_at"), now), now),
        )

    def note(self, event: Any, sessions: models.QuerySet[Session], at: datetime) -> None:
        """Write it down."""
        with connections[sessions.db].cursor() as cursor:
            cursor.execute(*self.noting(event, sessions, at))


class OccurrenceLog(models.Model):
    """What became of an occurrence. It refers to nothing, so it outlives its series and its session."""

    class Event(models.TextChoices):
        GENERATED = "generated", _("generated")
        ACTIVATED = "activated", _("activated")
        CLOSED = "closed", _("closed")
        CANCELLED = "cancelled", _("cancelled")
        MOVED = "moved", _("moved")
        MISSED = "missed", _("missed")

    id = models.BigAutoField(primary_key=True)
    event = models.CharField(_("event"), max_length=10, choices=Event)
    at = models.DateTimeField(_("at"))
    series_uid = models.UUIDField(_("series"), null=True)
    series_name = models.CharField(_("name of the series"), max_length=150, blank=True)
    session_uid = models.UUIDField(_("session"))
    session_title = models.CharField(_("title of the session"), max_length=200, blank=True)
    occurrence = WallTimeField(_("original start"), null=True)
    starts_at = models.DateTimeField(_("starts at"), null=True)
    # Its age counts from here: the end of the session, or `at` if that is later.
    over_at = models.DateTimeField(_("over at"))

    objects = OccurrenceLogQuerySet.as_manager()

    class Meta:
        verbose_name = _("log entry of an occurrence")
        verbose_name_plural = _("log entries of occurrences")
        indexes = [
            # what a series has generated and is not there any more: edits look for it
            models.Index(fields=["series_uid", "occurrence"], name="idx_occurrences_series"),
            # housekeeping-occurrences
            models.Index(fields=["over_at", "id"], name="idx_occurrences_over"),
        ]

    def __str__(self) -> str:
        return f"{self.session_title}: {self.get_event_display()}"
