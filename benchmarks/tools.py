"""Who does the work of a case: our run, the raw statement, and the ways people do it today.

Each is a function of the case that does all of it. It is called in a process of its own, with the
connection open.
"""

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from benchmarks.cases import Case
from session_cleanup.engine import runner
from session_cleanup.engine.report import RunReport, RunRequest

BATCH = 5000  # rows, where a way goes in batches and leaves their size to its user


def ours(case: Case) -> dict[str, Any]:
    """As the command cleanup_sessions enters."""
    report: RunReport = runner.run(RunRequest(jobs=(case.job,), trigger="command"))
    (job,) = report.jobs
    if job.end_state != "drained":
        raise RuntimeError(f"The job ended as {job.end_state}: {job.error or dict(job.skipped)}")
    return {"walk": job.walk, "batches": job.batches}


def raw(case: Case) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in case.raw:
            cursor.execute(statement.format(now=now()))


def queryset(case: Case) -> None:
    """One QuerySet.delete(), or an update() for the members and one for their rooms."""
    with transaction.atomic():
        act(case, due(case))


def subquery(case: Case) -> None:
    """The usual loop: pk__in of the first so many that are due, until there are none."""
    model = due(case).model
    while True:
        with transaction.atomic():
            if not act(case, model.objects.filter(pk__in=due(case).values("pk")[:BATCH])):
                return


def due(case: Case) -> Any:
    rows = apps.get_model("benchmarks", case.model).objects.filter(expires_at__lt=timezone.now())
    return rows.filter(kind="collaborative", is_active=True) if case.updates else rows


def act(case: Case, rows: Any) -> int:
    if not case.updates:
        deleted, _ = rows.delete()
        return int(deleted)
    if case.children:
        members = apps.get_model("benchmarks", "Member").objects
        members.filter(Q(room__in=rows), is_online=True).update(is_online=False)
    return int(rows.update(is_active=False, ended_at=timezone.now(), end_reason="expired"))


def now() -> str:
    return "now()" if connection.vendor == "postgresql" else "datetime('now')"


TOOLS: dict[str, Callable[[Case], dict[str, Any] | None]] = {
    tool.__name__: tool for tool in (ours, raw, queryset, subquery)
}
