"""The dictionaries without which packed documents cannot be read.

Why none is lost: a dictionary is refused to be deleted while a row of its database is packed with it, or an
undo record could be, and the newest of its column and codec always, since a run may be packing with it.
Nothing deletes one by itself. Files of an archive are not looked into: keep the dictionaries with them.
"""

import hashlib
from typing import Any

from django.apps import apps
from django.db import models
from django.utils.translation import gettext_lazy as _

from session_cleanup.exceptions import DictionaryInUse
from session_cleanup.models.undo import UndoRecord, UndoSet
from session_cleanup.packing.envelope import PREFIX
from session_cleanup.packing.fields import PackedJSONField
from session_cleanup.packing.lookups import AsStored
from session_cleanup.packing.packer import Packer


class PackingDictionaryQuerySet(models.QuerySet["PackingDictionary"]):
    def newest(self, column: str, codec: str) -> "PackingDictionary | None":
        return self.filter(column=column, codec=codec).order_by("-version").first()

    def keep(self, packer: Packer, *, column: str, ratio: float, samples: int) -> Packer:
        """Store the dictionary of `packer`; gives the packer of the version that it has from now on."""
        row = self.create(
            column=column,
            codec=packer.codec,
            content=packer.dictionary,
            digest=packer.digest,
            ratio=ratio,
            samples=samples,
        )
        return row.packer()

    def delete(self) -> tuple[int, dict[str, int]]:
        for dictionary in self:
            dictionary.refuse_if_in_use()
        return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class PackingDictionary(models.Model):
    """What documents of `column` were packed with, by the version that stands in each of them."""

    version = models.BigAutoField(_("version"), primary_key=True)
    column = models.CharField(_("column"), max_length=200, help_text=_('As "app.Model.field".'))
    codec = models.CharField(_("codec"), max_length=10)
    content = models.BinaryField(_("content"))
    digest = models.CharField(_("SHA-256"), max_length=64)
    ratio = models.FloatField(_("packed size of a document, as a share"))  # when it was trained
    samples = models.PositiveIntegerField(_("documents it was trained on"))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects = PackingDictionaryQuerySet.as_manager()

    class Meta:
        verbose_name = _("packing dictionary")
        verbose_name_plural = _("packing dictionaries")

    def __str__(self) -> str:
        return f"{self.column}: {self.codec} {self.version}"

    @classmethod
    def of(cls, codec: str, dictionary: bytes) -> Packer:
        """A packer with a dictionary that no database has yet, nor a version of its own."""
        return Packer(1, codec, dictionary, hashlib.sha256(dictionary).hexdigest())

    def packer(self) -> Packer:
        return Packer(self.version, self.codec, bytes(self.content), self.digest)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        self.refuse_if_in_use()
        return super().delete(*args, **kwargs)

    def refuse_if_in_use(self) -> None:
        """Raise DictionaryInUse; reads every packed column of the database. Stop the application before
        you delete one: a process may still hold an object that was packed with it."""
        using = self._state.db
        sets = UndoSet.objects.using(using)
        newest = type(self).objects.using(using).newest(self.column, self.codec)
        if newest is not None and newest.version == self.version:
            raise DictionaryInUse(f"{self} is the newest of its column, with which the next run packs.")
        for field in packed_columns():
            rows = field.model._base_manager.using(using).annotate(as_stored=AsStored(field.attname))
            label = f"{field.model._meta.label}.{field.name}"
            if rows.filter(as_stored__startswith=f'"{PREFIX}{self.version}:').exists():
                raise DictionaryInUse(f"{self} is in use: rows of {label} are packed with it.")
            if any(self._in_records(field, kept) for kept in sets.filter(model=field.model._meta.label)):
                raise DictionaryInUse(
                    f"{self} may be in use: there are undo records of {label}. Restore them, or wait until "
                    "they have expired."
                )

    def _in_records(self, field: Any, kept: UndoSet) -> bool:
        """Whether a record of that set could be packed with it; into encrypted ones nobody can look."""
        if field.column not in dict(kept.columns):
            return False
        records = UndoRecord.objects.using(self._state.db)
        records = records.filter(expires_at=kept.expires_at, set_id=kept.pk)
        if field.column not in kept.sealed:
            records = records.filter(data__contains=f"{PREFIX}{self.version}:")
        return records.exists()


def packed_columns() -> list[Any]:
    """Every column of the project that may hold packed documents."""
    return [
        field
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
        for field in model._meta.local_concrete_fields
        if isinstance(field, PackedJSONField)
    ]
