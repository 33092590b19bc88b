"""Who does the work of a case: our run, the raw statements, and the ways people do it today.

Each is a function of the case that does all of it, called in a process of its own with the connection
open. What it returns is noted beside its time.
"""

from collections.abc import Callable
from importlib import import_module
from io import StringIO
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from benchmarks.cases import Case
from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest

BATCH = 5000  # rows, where a tool leaves the size of its batches to its user


def ours(case: Case) -> dict[str, Any]:
    """As the command cleanup_sessions enters."""
    report = runner.run(RunRequest(jobs=case.jobs, trigger="command"))
    for job in report.jobs:
        if job.end_state != "drained":
            raise RuntimeError(f"{job.name} {job.end_state}: {job.error or dict(job.skipped)}")
    return {"walk": report.jobs[-1].walk, "batches": sum(job.batches for job in report.jobs)}


def raw(case: Case) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in case.raw:
            cursor.execute(statement.format(now=sql_clock()))


def queryset(case: Case) -> None:
    """One QuerySet.delete(); or one update(), after another one for the members."""
    with transaction.atomic():
        act(case, due(case))


def subquery(case: Case) -> None:
    """The usual loop over `pk__in` of the first few that are due, until there are none."""
    rows = due(case)
    done = -1
    while done:
        with transaction.atomic():
            few = rows.values_list("pk", flat=True)[:BATCH]
            # Asked twice, for the members and for their rooms, it could answer with two sets of rows.
            keys = list(few) if case.updates and case.children else few
            done = act(case, rows.model.objects.filter(pk__in=keys))


def clearsessions(case: Case) -> None:
    call_command("clearsessions")


def cleartokens(case: Case) -> None:
    call_command("cleartokens", stdout=StringIO(), stderr=StringIO())


def data_purger(case: Case) -> None:
    from django_data_purger import DataPurger, PurgeResult, run_data_purger

    class Purger(DataPurger):
        expected_delete_models = expected_update_models = tuple(
            model._meta.label for model in apps.get_models()
        )

        def run(self, *, now: Any) -> list[PurgeResult]:
            if case.updates:
                return self._update_queryset_in_batch(due(case), updates=end())
            return self._delete_queryset_in_batch(due(case))

    run_data_purger(data_purger=Purger(), dry_run=False)


def db_purge(case: Case) -> None:
    call_command("db_purge", stdout=StringIO())


def due(case: Case) -> Any:
    """The rows that are due, as a project would ask for them."""
    rows = apps.get_model(case.model).objects.filter(**{f"{case.clock}__lt": timezone.now()})
    return rows.filter(kind="collaborative", is_active=True) if case.updates else rows


def act(case: Case, rows: Any) -> int:
    if not case.updates:
        deleted, _ = rows.delete()
        return int(deleted)
    if case.children:
        members = apps.get_model("benchmarks", case.children).objects
        members.filter(room__in=rows, is_online=True).update(is_online=False)
    return int(rows.update(**end()))


def end() -> dict[str, Any]:
    return {"is_active": False, "ended_at": timezone.now(), "end_reason": "expired"}


def sql_clock() -> str:
    return "now()" if connection.vendor == "postgresql" else "datetime('now')"


TOOLS: dict[str, Callable[[Case], dict[str, Any] | None]] = {
    tool.__name__: tool
    for tool in (ours, raw, queryset, subquery, clearsessions, cleartokens, data_purger, db_purge)
}
PACKAGES = {"cleartokens": "oauth2_provider", "data_purger": "django_data_purger", "db_purge": "dbpurge"}


def missing(tool: str) -> str:
    """Why a tool cannot run here, empty when it can; its package is imported then."""
    package = PACKAGES.get(tool)
    try:
        if package:
            import_module(package)
    except ImportError as error:
        return f"{error}; pip install 'session-cleanup[bench]'"
    return ""
