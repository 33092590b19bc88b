"""A dry run: counts what a run at the same cutoff would change, and writes nothing at all."""

import time
from collections import Counter
from typing import Any

from django.db import connections
from django.db.models import Count

from session_cleanup.engine import cascades
from session_cleanup.engine.footprint import Footprint, claim_in_preview, footprint, judged
from session_cleanup.engine.foresight import foresee
from session_cleanup.engine.report import JobReport, ListedRow
from session_cleanup.engine.walks import expected
from session_cleanup.models import Hold
from session_cleanup.policies.actions import Delete
from session_cleanup.policies.claims import Claims, concrete
from session_cleanup.policies.conditions import column
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.rewrites import Rewrite


def preview(
    policy: Policy, claims: Claims, remembered: set[Any], watched: set[Any], report: JobReport
) -> None:
    """Fill in what the job would do, and make later previews of this run see it as done."""
    started = time.monotonic()
    rows = judged(policy, claims)
    counts = dict(rows.order_by().values_list("verdict").annotate(Count("pk")))
    due = rows.filter(verdict="")
    report.skipped = {verdict: count for verdict, count in counts.items() if verdict}
    report.due = counts.get("", 0)
    if report.due and isinstance(policy.action, Rewrite):
        due = foresee(policy, claims, due, report)
    if report.due:
        found = footprint(policy, due, claims)
        if cascades.is_cyclic(due.model):
            report.due = found.own.count()
        report.related = _counts(found)
        claim_in_preview(found, report.due, remembered, watched, claims)
    report.walk = expected(policy, claims, report.due)
    report.inexact += found_in_database(policy, claims)
    report.seconds = time.monotonic() - started


def _counts(found: Footprint) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for rows in found.related:
        counts[rows.model._meta.label] += rows.count()
    return dict(+counts)


def list_rows(policy: Policy, claims: Claims, limit: int, report: JobReport) -> None:
    """List the first rows that are due, in the order in which a run would come to them."""
    due = judged(policy, claims).filter(verdict="")
    walked = [column(name, policy.get_model()).attname for name in policy.select.columns]
    found = due.order_by(*walked, "pk")[: limit + 1]
    clock = policy.clock or "pk"
    names = list(dict.fromkeys(["pk", clock, *policy.columns]))
    rows = list(found.values(*names))
    report.rows = [
        ListedRow(
            row["pk"],
            row[clock] if policy.age is not None else None,
            {name: row[name] for name in policy.columns},
        )
        for row in rows[:limit]
    ]
    if len(rows) > limit:
        report.more_rows = due.count() - limit


def found_in_database(policy: Policy, claims: Claims) -> list[str]:
    """Reasons for doubt that only the database knows: triggers, and holds inside a cycle."""
    models = (
        cascades.closure(policy.get_model())
        if isinstance(policy.action, Delete)
        else {concrete(policy.get_model())}
    )
    reasons = [
        f"the table {table} has a trigger"
        for table in sorted(model._meta.db_table for model in models)
        if _has_trigger(table, claims.using)
    ]
    if isinstance(policy.action, Delete) and cascades.is_cyclic(policy.get_model()):
        labels = [model._meta.label for model in models]
        if Hold.objects.using(claims.using).active(claims.now).filter(model__in=labels).exists():
            reasons.append("rows in a cycle of cascades are under a hold")
    return reasons


TRIGGERS = {
    "postgresql": "SELECT EXISTS"
    " (SELECT FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = to_regclass(%s))",
    "sqlite": "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s)",
}


def _has_trigger(table: str, using: str) -> bool:
    connection = connections[using]
    name = connection.ops.quote_name(table) if connection.vendor == "postgresql" else table
    with connection.cursor() as cursor:
        cursor.execute(TRIGGERS[connection.vendor], [name])
        return bool(cursor.fetchone()[0])
