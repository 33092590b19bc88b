"""What compression saves and costs: the codec alone, and the whole job on PostgreSQL.

The dictionary is trained on one half of the corpus; the other half is packed, measured, and unpacked again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

SAMPLE = 1000  # documents that a dictionary is trained on
MOST = 10_000  # documents for the codec alone
TIMES = 5  # that the codec goes over them; the fastest counts
COLUMN = "session_cleanup.Session.payload"
TABLE = "session_cleanup_session"


def stock(tokens: int, codec: str, rows: int) -> dict[str, Any]:
    """In a process of its own: a dictionary from one half of the corpus, and rows of the other."""
    from benchmarks.corpus import payloads
    from session_cleanup.engine.training import trained
    from session_cleanup.models import PackingDictionary

    corpus = payloads(2 * rows, tokens)
    fill(islice(corpus, rows))
    known = texts(SAMPLE)
    began = time.perf_counter()
    packer, ratio = trained(codec, known)
    seconds = time.perf_counter() - began
    PackingDictionary.objects.keep(packer, column=COLUMN, ratio=ratio, samples=len(known))
    execute(f"TRUNCATE {TABLE} CASCADE")
    return {"training": seconds, "characters": fill(corpus)}


def packing(codec: str) -> dict[str, Any]:
    """In another process, whose memory is that of the job: all that there is to say of these rows."""
    from session_cleanup.models import PackingDictionary

    before = digest()
    said = {**space("before"), **compress(codec), **space("after")}
    execute(f"VACUUM FULL {TABLE}")
    said |= {**space("vacuumed"), **unpack(), "whole": digest() == before}
    dictionary = PackingDictionary.objects.newest(COLUMN, codec)
    assert dictionary is not None
    return said | alone(codec, bytes(dictionary.content))


def fill(corpus: Iterator[dict[str, Any]]) -> int:
    """The table with the rest of the corpus; how many characters that is as compact JSON."""
    from session_cleanup.models import Session

    created, characters = datetime(2024, 1, 1, tzinfo=UTC), 0
    while part := list(islice(corpus, 1000)):
        characters += sum(len(json.dumps(each, separators=(",", ":"))) for each in part)
        Session.objects.bulk_create(
            Session(kind="browser", created_at=created, payload=each) for each in part
        )
    execute(f"VACUUM (ANALYZE) {TABLE}")
    return characters


def texts(most: int) -> list[str]:
    """Documents as the database gives them."""
    from django.db.models import F

    from session_cleanup.models import Session
    from session_cleanup.packing.lookups import AsStored

    return list(Session.objects.values_list(AsStored(F("payload")), flat=True)[:most])


def alone(name: str, dictionary: bytes) -> dict[str, float]:
    """To the stored form and back in memory, in MB a second of the text that the database gives."""
    from benchmarks.work import timed
    from session_cleanup.packing.codecs import CODECS
    from session_cleanup.packing.envelope import LIMIT, opened, sealed, verified

    codec = CODECS[name](dictionary)
    documents = [text.encode() for text in texts(MOST)]
    stored: list[str] = []

    def pack() -> None:
        stored[:] = [sealed(1, each, codec.compress(each)) for each in documents]

    def unpack() -> None:
        for each in stored:
            checksum, data = opened(each)
            verified(codec.decompress(data, LIMIT), checksum)

    megabytes = sum(map(len, documents)) / 1e6
    return {
        f"{work.__name__}_mb": megabytes / min(timed(work) for _ in range(TIMES)) for work in (pack, unpack)
    }


def compress(codec: str) -> dict[str, Any]:
    from benchmarks.work import peak_mb
    from session_cleanup.policies.presets.browser_compress import compress
    from session_cleanup.policies.rewrites import Compress

    before = peak_mb()
    job, seconds = run(replace(compress(), action=Compress("payload", codec=codec)))
    speed = job.figures["bytes_before"] / 1e6 / seconds
    more = peak_mb() - before
    return {
        "rows": job.changed,
        "batches": job.batches,
        "seconds": seconds,
        "job_mb": speed,
        "more_mb": more,
        **job.figures,
    }


def unpack() -> dict[str, Any]:
    from session_cleanup.engine import unpacking

    [policy] = unpacking.jobs([COLUMN])
    job, seconds = run(policy)
    return {"unpacked": job.changed, "unpacking_mb": job.figures["bytes_after"] / 1e6 / seconds}


def run(policy: Any) -> tuple[Any, float]:
    from session_cleanup.engine import runner
    from session_cleanup.engine.report import RunRequest

    began = time.perf_counter()
    [job] = runner.run(RunRequest(), policies=[policy]).jobs
    if job.error:
        raise RuntimeError(job.error)
    return job, time.perf_counter() - began


def space(when: str) -> dict[str, int]:
    """Bytes on disk of the table with what PostgreSQL keeps beside it, but without indexes."""
    return {f"disk_{when}": execute(f"SELECT pg_table_size('{TABLE}')")}


def digest() -> str:
    return str(execute(f"SELECT md5(string_agg(md5(payload::text), '' ORDER BY id)) FROM {TABLE}"))


def execute(sql: str) -> Any:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0] if cursor.description else None
