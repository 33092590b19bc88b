import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections
from django.db.models import F

from benchmarks.corpus import payloads
from session_cleanup.models import PackingDictionary
from session_cleanup.packing import dictionaries
from session_cleanup.packing.lookups import AsStored
from session_cleanup.packing.packer import Packer
from session_cleanup.policies import Aged, Compress, Policy
from tests.factories import DAY, NOW
from tests.testapp.models import Document

COLUMN = "testapp.Document.body"
BODIES = list(payloads(30, 2))


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    dictionaries.packer.cache_clear()
    yield
    dictionaries.packer.cache_clear()


def policy(**changes: Any) -> Policy:
    given = {
        "name": "pack-documents",
        "model": "testapp.Document",
        "select": Aged("made_at", 7 * DAY),
        "action": Compress("body"),
    }
    return Policy(**{**given, **changes})


def documents(*bodies: Any, **values: Any) -> list[Document]:
    return [Document.objects.create(body=body, made_at=NOW - 8 * DAY, **values) for body in bodies]


def stored(document: Any, column: str = "body", using: str = "default") -> Any:
    """The text of the column, as the database holds it."""
    rows = type(document)._base_manager.using(using).filter(pk=document.pk)
    return rows.values_list(AsStored(F(column)), flat=True).get()


def is_packed(document: Any, **where: Any) -> bool:
    return (stored(document, **where) or "").startswith('"packed:')


def put(document: Any, text: str, using: str = "default") -> None:
    """Write the column as text, past the field."""
    connection = connections[using]
    cast = "::jsonb" if connection.vendor == "postgresql" else ""
    key = document.pk if connection.features.has_native_uuid_field else document.pk.hex
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE testapp_document SET body = %s{cast} WHERE id = %s", [text, key])


def dictionary(codec: str = "zlib", using: str = "default") -> Packer:
    """A dictionary of that database, trained on what the tests pack."""
    packer = PackingDictionary.of(codec, b"".join(json.dumps(body).encode() for body in BODIES[20:24]))
    return PackingDictionary.objects.using(using).keep(packer, column=COLUMN, ratio=0.3, samples=4)


@pytest.fixture
def pack(db: None) -> Callable[..., str]:
    """pack(document): store it packed, as a run does; gives the stored form."""
    packers: dict[tuple[str, str], Packer] = {}

    def pack(document: Document, codec: str = "zlib", using: str = "default") -> str:
        if (codec, using) not in packers:
            packers[codec, using] = dictionary(codec, using)
        found = packers[codec, using].packed(stored(document, using=using))
        assert found is not None
        put(document, f'"{found}"', using)
        return found

    return pack
