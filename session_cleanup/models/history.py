"""The book-keeping: runs, leases, holds and claims.

A policy's own database holds its leases, holds and claims; the history of runs may live in another
(a database router decides), so nothing here is joined to it: runs are named by their plain number.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Self

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections, models, router
from django.db.models import Exists, OuterRef, Q, Subquery
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Cast, Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from session_cleanup.conf import conf
from session_cleanup.exceptions import ConfigurationError


def _concrete(model: type[models.Model]) -> type[models.Model]:
    return model._meta.concrete_model or model


def as_stored(moment: datetime) -> datetime:
    """A moment as this project's DateTimeFields hold it: naive where USE_TZ is False."""
    if settings.USE_TZ or timezone.is_naive(moment):
        return moment
    return timezone.make_naive(moment)


def plain(field: Any) -> Any:
    """The field whose values these are: a foreign key holds those of its target."""
    while field.remote_field is not None:
        field = field.target_field
    return field


def is_textual(field: Any) -> bool:
    """Whether Python and the database write the values of a field as the same text."""
    fields = (models.IntegerField, models.UUIDField, models.CharField, models.TextField)
    return isinstance(plain(field), fields)


def has_text_key(model: type[models.Model]) -> bool:
    return is_textual(model._meta.pk)


def key_text(model: type[models.Model], key: Any, using: str) -> str:
    """A primary key as the text that CAST(pk AS text) gives in that database."""
    field = plain(model._meta.pk)
    return str(field.get_db_prep_value(field.to_python(key), connections[using]))


def _lease_horizon() -> CombinedExpression:
    """A heartbeat before this moment of the database's clock belongs to a lease that is over.

    The heartbeat and the renewal of the lease are one transaction, so they end together.
    """
    return Now() - timedelta(seconds=conf.LEASE_SECONDS)


class CleanupRunQuerySet(models.QuerySet["CleanupRun"]):
    def died(self) -> Self:
        """Runs that never ended and none of whose jobs has a lease that is alive: their process died."""
        beating = JobRun.objects.filter(run=OuterRef("pk"), heartbeat_at__gte=_lease_horizon())
        began = self.filter(status=CleanupRun.Status.RUNNING, started_at__lt=_lease_horizon())
        return began.filter(~Exists(beating))


class CleanupRun(models.Model):
    """One command, HTTP call or task; its jobs are JobRun rows."""

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        OK = "ok", _("ok")  # every job drained
        INCOMPLETE = "incomplete", _("incomplete")  # a limit of rows or time was reached
        BUSY = "busy", _("busy")  # another process runs one of the jobs
        STOPPED = "stopped", _("stopped")  # by a signal, after the batch under way
        FAILED = "failed", _("failed")  # some job failed or lost its lease
        DISABLED = "disabled", _("disabled")  # SESSION_CLEANUP_ENABLED is False

    id = models.BigAutoField(primary_key=True)
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.RUNNING)
    trigger = models.CharField(_("trigger"), max_length=20)
    actor = models.CharField(_("actor"), max_length=150, blank=True)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process id"))
    options = models.JSONField(_("options"), default=dict)
    started_at = models.DateTimeField(_("started at"), db_index=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    exit_status = models.PositiveSmallIntegerField(_("exit status"), null=True)

    objects = CleanupRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("cleanup run")
        verbose_name_plural = _("cleanup runs")
        permissions = [("view_stats", _("Can view the cleanup statistics"))]

    def __str__(self) -> str:
        return f"run {self.pk}"

    @property
    def state(self) -> str:
        """The status, or "died": it never ended and no lease of its jobs is alive."""
        if self.status != self.Status.RUNNING:
            return str(self.status)
        alive = (
            type(self)
            ._base_manager.using(self._state.db)
            .filter(
                Q(started_at__gte=_lease_horizon()) | Q(jobs__heartbeat_at__gte=_lease_horizon()), pk=self.pk
            )
        )
        return str(self.status) if alive.exists() else "died"


class JobRunQuerySet(models.QuerySet["JobRun"]):
    def newest(self, jobs: Iterable[str]) -> Self:
        """The last run of each job that is named, and that ever ran; each by the index on job."""
        last = [Subquery(self.filter(job=job).order_by("-pk").values("pk")[:1]) for job in jobs]
        return self.filter(pk__in=last).select_related("run")

    def unfinished(self) -> Self:
        """Job runs of schedulers that were stopped or died, the latter only if they were not resumed ones."""
        stopped = Q(end_state=JobRun.EndState.STOPPED, run__trigger__in=("scheduler", "notify", "resumed"))
        died = Q(end_state="", heartbeat_at__lt=_lease_horizon(), run__trigger__in=("scheduler", "notify"))
        return self.filter(stopped | died)

    def died(self) -> Self:
        """Job runs whose lease is over and that never ended: their process died."""
        return self.filter(end_state="", heartbeat_at__lt=_lease_horizon())


class JobRun(models.Model):
    """One job in one run. Its counts commit together with the batches that they count."""

    class EndState(models.TextChoices):
        RUNNING = "", _("running")
        DRAINED = "drained", _("drained")  # nothing that is due is left
        DRAINED_WITH_SKIPS = "drained_with_skips", _("drained with skips")  # but for skipped rows
        CAPPED = "capped", _("capped")  # --max-rows
        TIMED_OUT = "timed_out", _("timed out")  # --max-seconds
        STOPPED = "stopped", _("stopped")  # a signal
        BUSY = "busy", _("busy")  # another process holds the lease
        LEASE_LOST = "lease_lost", _("lease lost")  # another process took the lease over
        DISABLED = "disabled", _("disabled")
        FAILED = "failed", _("failed")

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(CleanupRun, models.CASCADE, verbose_name=_("run"), related_name="jobs")
    job = models.CharField(_("job"), max_length=64)
    model = models.CharField(_("model"), max_length=100)
    database = models.CharField(_("database"), max_length=100)
    action = models.CharField(_("action"), max_length=20)
    end_state = models.CharField(
        _("end state"), max_length=20, choices=EndState, default=EndState.RUNNING, blank=True
    )
    cutoff = models.DateTimeField(_("cutoff"), null=True)
    cursor = models.JSONField(_("cursor"), null=True)
    changed = models.PositiveBigIntegerField(_("changed"), default=0)
    related = models.JSONField(_("related rows"), default=dict)
    skipped = models.JSONField(_("skipped"), default=dict)
    figures = models.JSONField(_("figures"), default=dict)  # what else its action counts
    batches = models.PositiveBigIntegerField(_("batches"), default=0)
    walk = models.CharField(_("walk"), max_length=10, blank=True)
    seconds = models.FloatField(_("seconds"), default=0)
    error = models.TextField(_("error"), blank=True)
    heartbeat_at = models.DateTimeField(_("heartbeat"), null=True)

    objects = JobRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("job run")
        verbose_name_plural = _("job runs")
        indexes = [models.Index(fields=["job", "-id"], name="idx_job_runs_latest")]

    def __str__(self) -> str:
        return f"{self.job} in run {self.run_id}"

    @property
    def state(self) -> str:
        """The end state; "running", or "died" if its lease is over and it never ended."""
        if self.end_state:
            return str(self.end_state)
        died = JobRun.objects.using(self._state.db).died().filter(pk=self.pk)
        return "died" if died.exists() else "running"


class CleanupLease(models.Model):
    """Who runs a job now, in the job's own database."""

    job = models.CharField(_("job"), max_length=64, primary_key=True)
    token = models.UUIDField(_("token"), default=uuid.uuid4)
    fence = models.PositiveBigIntegerField(_("times taken"), default=0)
    run_id = models.BigIntegerField(_("run"), null=True)
    holder = models.CharField(_("holder"), max_length=300, blank=True)
    since = models.DateTimeField(_("since"))
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")

    def __str__(self) -> str:
        return f"{self.job}: {self.holder}"


class HoldQuerySet(models.QuerySet["Hold"]):
    def active(self, now: datetime) -> Self:
        return self.filter(Q(until__isnull=True) | Q(until__gt=as_stored(now)))

    def on(self, model: type[models.Model], now: datetime) -> Exists:
        """The condition "this row of `model` is under a hold", for a filter or an annotation."""
        label = _concrete(model)._meta.label
        key = Cast(OuterRef("pk"), models.TextField())
        return Exists(self.active(now).filter(model=label, object_pk=key))

    def place(
        self, row: models.Model, *, until: datetime | None = None, reason: str = "", created_by: str = ""
    ) -> "Hold":
        """Keep `row` from every run until then (None: until somebody removes the hold)."""
        model = _concrete(type(row))
        if not has_text_key(model):
            raise ConfigurationError(
                f"{model._meta.label} cannot be held: its primary key is no number, text or UUID."
            )
        return self.using(row._state.db or self.db).create(
            model=model._meta.label,
            object_pk=key_text(model, row.pk, row._state.db or self.db),
            until=until,
            reason=reason,
            created_by=created_by,
        )


class Hold(models.Model):
    """A row that no run may touch, neither as target nor by cascade. Kept in the row's database."""

    id = models.BigAutoField(primary_key=True)
    model = models.CharField(_("model"), max_length=100, help_text=_('As "app.Model".'))
    object_pk = models.CharField(_("primary key"), max_length=255)
    until = models.DateTimeField(_("until"), null=True, blank=True, help_text=_("Empty: for ever."))
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    created_by = models.CharField(_("created by"), max_length=150, blank=True)

    objects = HoldQuerySet.as_manager()

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        indexes = [models.Index(fields=["model", "object_pk"], name="idx_holds_row")]

    def __str__(self) -> str:
        return f"{self.model} {self.object_pk}"

    def clean(self) -> None:
        """Refuse a hold that would hold nothing: no such model, no such row, or not where runs look."""
        try:
            model = _concrete(apps.get_model(self.model))
        except (LookupError, ValueError):
            raise ValidationError({"model": _('There is no such model. Write it as "app.Model".')}) from None
        if not has_text_key(model):
            raise ValidationError({"model": _("Its primary key is no number, text or UUID.")})
        self.model = model._meta.label
        ours = self._state.db or router.db_for_write(type(self))
        theirs = router.db_for_write(model)
        if theirs != ours:
            message = _(
                "Rows of that model live in the database “%(theirs)s”, but this hold would be written to "
                "“%(ours)s”. Place it in Python: Hold.objects.place(row)."
            )
            raise ValidationError({"model": message % {"theirs": theirs, "ours": ours}})
        try:
            self.object_pk = key_text(model, self.object_pk, ours)
            found = model._base_manager.using(ours).filter(pk=self.object_pk).exists()
        except (ValidationError, ValueError, TypeError):
            found = False
        if not found:
            raise ValidationError({"object_pk": _("That model has no row with this primary key.")})


class Claim(models.Model):
    """A row that an earlier job of a running run has changed, so that its later jobs leave it alone."""

    id = models.BigAutoField(primary_key=True)
    run_id = models.BigIntegerField()
    model = models.CharField(max_length=100)
    object_pk = models.CharField(max_length=255)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run_id", "model", "object_pk"], name="claim_once"),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.object_pk}"
