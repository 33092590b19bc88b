"""The dictionaries of a database, each loaded once a process; the model that holds them is found late."""

from functools import lru_cache
from typing import Any

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist

from session_cleanup.exceptions import CorruptPacking, UnknownDictionary
from session_cleanup.packing.envelope import version_of
from session_cleanup.packing.packer import Packer

LABEL = "session_cleanup.PackingDictionary"
KEPT = 16  # in memory, of about 32 KB


@lru_cache(maxsize=KEPT)
def packer(using: str, version: int) -> Packer:
    model: Any = apps.get_model(LABEL)
    try:
        row = model._base_manager.using(using).get(pk=version)
    except (ObjectDoesNotExist, OverflowError):
        raise UnknownDictionary(
            f"it was packed with dictionary {version}, which the database {using!r} does not have: restore "
            "the table of packing dictionaries from a backup"
        ) from None
    return Packer(row.pk, row.codec, bytes(row.content), row.digest)


def unpacked(using: str, stored: str) -> str:
    """The document. Raises PackingError."""
    version = version_of(stored)
    known = packer(using, version)
    try:
        return known.unpacked(stored)
    except CorruptPacking:
        packer.cache_clear()  # it may be another one by now: the database was restored, a test rolled back
        if packer(using, version).digest == known.digest:
            raise
    return packer(using, version).unpacked(stored)
