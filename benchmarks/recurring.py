"""What generating sessions costs: the expansion of the rules alone, the job, and one raw statement a table.

Series recur daily in three time zones, each with a session a day for 30 days ahead and today.
"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from typing import Any

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo")
TABLES = ("session_cleanup_session", "session_cleanup_occurrencelog")


def series(count: int) -> dict[str, Any]:
    """In a process of its own: so many series, of which nothing was generated."""
    from session_cleanup.models import SessionSeries

    SessionSeries.objects.bulk_create(
        (
            SessionSeries(
                name=f"Series {number}",
                rule="FREQ=DAILY",
                time_zone=ZONES[number % len(ZONES)],
                first_date=date(2024, 1, 1),
                start_time=clock(9),
                duration=timedelta(hours=1),
            )
            for number in range(count)
        ),
        batch_size=1000,
    )
    execute("VACUUM (ANALYZE) session_cleanup_sessionseries")
    return {}


def recurring() -> dict[str, Any]:
    """In another process, whose memory is that of the job."""
    from benchmarks.packing import run
    from benchmarks.work import peak_mb, timed
    from session_cleanup.policies.presets.recurring import jobs

    [job] = (each for each in jobs() if each.name == "recurring-generate")
    said = expansion()
    before = peak_mb()
    report, said["generate"] = run(job)
    said |= {"rows": report.changed, "batches": report.batches, "more_mb": peak_mb() - before}
    again, said["again"] = run(job)
    if again.changed:
        raise RuntimeError(f"The second run created {again.changed} more.")
    for table in TABLES:
        execute(f"CREATE TABLE copy_of_{table} AS SELECT * FROM {table}")
    execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
    execute("VACUUM (ANALYZE)")
    execute("CHECKPOINT")
    said["raw"] = sum(
        timed(lambda table=table: execute(f"INSERT INTO {table} SELECT * FROM copy_of_{table}"))  # type: ignore[misc]
        for table in TABLES
    )
    return said


def expansion() -> dict[str, Any]:
    """What is to be generated, found out and forgotten."""
    from session_cleanup.models import SessionSeries
    from session_cleanup.recurrence.planning import planned

    now, series, starts = datetime.now(UTC), 0, 0
    began = time.perf_counter()
    for each in SessionSeries.objects.iterator():
        series, starts = series + 1, starts + len(planned(each, now).starts)
    return {"series": series, "starts": starts, "expansion": time.perf_counter() - began}


def execute(sql: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql)
