"""What runs took away, kept until its retention ends. It lives in the database that the rows lived in.

A record is one row as the database itself wrote it, as text: on PostgreSQL the text of a composite value
(every column as its type's own output function gives it), on SQLite a JSON array of typed values. Which
columns those are stands once, in the set that the record belongs to.
"""

from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from session_cleanup.models.history import as_stored

FOR_EVER = timedelta(days=365 * 5000)  # no two runs expire at one moment, not even those that never do


class UndoSet(models.Model):
    """What one job run took out of one table, or changed in it in one way."""

    class Kind(models.TextChoices):
        DELETED = "deleted", _("deleted")  # columns: the whole row
        UPDATED = "updated", _("updated")  # the key, columns before, the same columns after
        UNLINKED = "unlinked", _("unlinked")  # the same, of a reference to a row that was deleted

    id = models.BigAutoField(primary_key=True)
    run_id = models.BigIntegerField(_("run"), db_index=True)
    job = models.CharField(_("job"), max_length=64)
    model = models.CharField(_("model"), max_length=100)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    # [name, type] of each column, the key first; of a change, those that changed behind it.
    columns = models.JSONField(_("columns"))
    sealed = models.JSONField(_("encrypted columns"), default=list)
    left_out = models.JSONField(_("secret columns left out"), default=list)
    restored = models.PositiveBigIntegerField(_("restored"), default=0)
    expires_at = models.DateTimeField(_("expires at"), db_index=True)

    class Meta:
        verbose_name = _("undo set")
        verbose_name_plural = _("undo sets")

    def __str__(self) -> str:
        return f"{self.model} {self.kind} by {self.job} in run {self.run_id}"


class UndoRecord(models.Model):
    """One row of a set. Restoring it removes it."""

    id = models.BigAutoField(primary_key=True)
    set_id = models.BigIntegerField(_("set"))  # plain: to check a foreign key would cost each row dearly
    expires_at = models.DateTimeField(_("expires at"))
    data = models.TextField(_("data"))

    class Meta:
        verbose_name = _("undo record")
        verbose_name_plural = _("undo records")
        indexes = [
            # housekeeping-undo; and a run's records, all of which expire at the same moment
            models.Index(fields=["expires_at", "id"], name="idx_undo_expires"),
        ]

    def __str__(self) -> str:
        return f"record {self.pk}"


class ArchiveFile(models.Model):
    """A file of archived rows: written, read back, and only then were its rows deleted."""

    id = models.BigAutoField(primary_key=True)
    run_id = models.BigIntegerField(_("run"), db_index=True)
    job = models.CharField(_("job"), max_length=64)
    name = models.CharField(_("name"), max_length=200)
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    size = models.PositiveBigIntegerField(_("bytes"))
    rows = models.JSONField(_("rows"))  # by label of the model
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        verbose_name = _("archive file")
        verbose_name_plural = _("archive files")

    def __str__(self) -> str:
        return self.name


def expiry(now: datetime, keep: timedelta | None) -> datetime:
    """When records made by a run at `now` expire; None keeps them for ever."""
    return as_stored(now + (FOR_EVER if keep is None else keep))
