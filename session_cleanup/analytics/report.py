"""The monthly report: made once for each month, of the month that ended, and kept.

A second run changes nothing: sessions that the figures were taken from are gone by then. The unique month
holds that even for two runs at once. A dry run makes the same report and stores nothing.
"""

from datetime import UTC, datetime
from typing import cast

from django.db import router

from session_cleanup.analytics.figures import Document, Metrics
from session_cleanup.analytics.metrics import measure
from session_cleanup.analytics.months import Month
from session_cleanup.analytics.recommendations import recommendations
from session_cleanup.engine.pacing import EndState, Pace
from session_cleanup.engine.report import JobReport
from session_cleanup.engine.routines import Steps
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import SessionReport
from session_cleanup.models.history import as_stored


class BrowserReport:
    """The work of the job browser-report."""

    def refuse(self, using: str) -> None:
        """It is given nothing."""

    def preview(self, using: str, now: datetime, report: JobReport) -> None:
        stored = _stored(using, Month.ended_before(now))
        report.due = 0 if stored else 1
        report.product = document_of(stored) if stored else make(using, Month.ended_before(now), now)

    def run(self, steps: Steps, pace: Pace) -> EndState | None:
        using, now, month = steps.using, steps.now, Month.ended_before(steps.now)
        stored = _stored(using, month)
        if stored is None:
            document = make(using, month, now)
            with steps.batch():
                stored, is_new = SessionReport.objects.using(using).get_or_create(
                    month=month.first,
                    defaults={
                        "created_at": as_stored(now),
                        "metrics": document["metrics"],
                        "recommendations": document["recommendations"],
                    },
                )
                steps.report.changed += is_new
        steps.report.product = document_of(stored)
        return None


def make(using: str, month: Month, now: datetime) -> Document:
    """The report of `month` as its sessions stand at `now`."""
    before = _stored(using, month.before)
    metrics = measure(using, month, now, document_of(before)["metrics"] if before else None)
    return Document(
        month=str(month),
        created_at=_text(now),
        metrics=metrics,
        recommendations=recommendations(metrics),
    )


def document_of(stored: SessionReport) -> Document:
    return Document(
        month=str(stored),
        created_at=_text(stored.created_at),
        metrics=cast(Metrics, stored.metrics),
        recommendations=stored.recommendations,
    )


def stored_report(month: Month | None = None) -> Document:
    """The report of a month, else the newest one. Raises ConfigurationError when there is none."""
    rows = SessionReport.objects.using(router.db_for_write(SessionReport)).order_by("-month")
    found = (rows.filter(month=month.first) if month else rows).first()
    if found is not None:
        return document_of(found)
    months = ", ".join(f"{each:%Y-%m}" for each in rows.values_list("month", flat=True)[:12])
    raise ConfigurationError(
        f"There is no report of {month}. There are those of {months}."
        if months
        else "There is no report yet. Make one: python manage.py cleanup_sessions browser-report"
    )


def _stored(using: str, month: Month) -> SessionReport | None:
    return SessionReport.objects.using(using).filter(month=month.first).first()


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
