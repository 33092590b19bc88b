"""The monthly reports."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class SessionReport(models.Model):
    """What the browser sessions of a month came to; figures and advice as `analytics.figures` has them."""

    id = models.BigAutoField(primary_key=True)
    month = models.DateField(_("month"), unique=True)  # its first day
    created_at = models.DateTimeField(_("created at"))
    metrics = models.JSONField(_("figures"))
    recommendations = models.JSONField(_("recommendations"))

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        indexes = [
            # housekeeping-reports
            models.Index(fields=["created_at", "id"], name="idx_reports_created"),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"
