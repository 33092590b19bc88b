"""Code that runs beside a job: triggers of the database and signal receivers of the project."""

from collections.abc import Iterator
from typing import Any

from django.db.models.signals import post_delete, pre_delete

from session_cleanup.doctor.case import Case
from session_cleanup.doctor.catalog import DELETE, UPDATE
from session_cleanup.doctor.findings import Finding, Severity
from session_cleanup.engine.preview import found_in_database


def of_triggers(case: Case) -> Iterator[Finding]:
    for event, models in ((DELETE, case.deleted), (UPDATE, case.updated)):
        for model in models:
            table = case.table_of(model)
            if names := case.catalog.triggers(table, event):
                yield Finding(
                    "trigger",
                    Severity.ADVICE,
                    table.name,
                    f"{event} on it runs {', '.join(names)}.",
                    "Its work is part of each batch, row by row, and what it changes is in no preview.",
                    "Measure a run with --max-rows. A trigger that only writes a log can do so by statement.",
                )


def of_receivers(case: Case) -> Iterator[Finding]:
    for model in case.deleted:
        names = sorted({name for signal in (pre_delete, post_delete) for name in _receivers(signal, model)})
        if names:
            yield Finding(
                "receiver",
                Severity.ADVICE,
                model._meta.label,
                f"When a row is deleted, {', '.join(names)} run.",
                "Django then loads each row and calls them for it, and what they change is in no preview.",
                "Disconnect them if the rows that expire do not need them; else expect slower batches.",
            )


def _receivers(signal: Any, model: Any) -> Iterator[str]:
    for kind in signal._live_receivers(model):  # synchronous, asynchronous
        for receiver in kind:
            where = receiver if hasattr(receiver, "__qualname__") else type(receiver)
            yield f"{where.__module__}.{where.__qualname__}"


def of_preview(case: Case, doubts: list[str]) -> Iterator[Finding]:
    """`doubts`: what the models and policies alone say."""
    if reasons := [*doubts, *found_in_database(case.policy, case.claims)]:
        yield Finding(
            "preview-inexact",
            Severity.NOTE,
            case.policy.name,
            f"Its preview may differ from its run: {'; '.join(reasons)}.",
            "The counts of --dry-run are not a promise for this job.",
            "Nothing needs to be done. Begin with --max-rows, and compare.",
        )
