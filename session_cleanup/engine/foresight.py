"""What a dry run says of a rewrite: which rows would really get another form, and how many bytes that saves.

Only working it out tells. So it is worked out, and nothing written, for every row where they are few, and
for some rows picked at random where they are many; then the bytes are marked as an estimate.
"""

from typing import Any

from django.db.models import F, QuerySet

from session_cleanup.engine.report import JobReport
from session_cleanup.engine.rewriting import Rewriting
from session_cleanup.policies.claims import AmongKeys, Claims
from session_cleanup.policies.policy import Policy

FEW = 1000  # rows, for all of which it is worked out


def foresee(policy: Policy, claims: Claims, due: QuerySet[Any], report: JobReport) -> QuerySet[Any]:
    """Fill in what rewriting the rows of `due` would do; returns those that it would change."""
    rewriting = Rewriting(policy, claims, keeping=False)
    assert report.due is not None
    many = report.due > FEW
    rows = due.order_by("?" if many else "pk")[:FEW]
    left = list(rows.values_list("pk", flat=True))
    looked, changing, figures, refused = len(left), list[Any](), dict[str, int](), dict[str, int]()
    while left:
        left = left[len(rewriting.take(left)) :]
        changing += rewriting.forms
        for name, count in rewriting.figures(rewriting.forms).items():
            figures[name] = figures.get(name, 0) + count
        for reason in rewriting.refused.values():
            refused[reason] = refused.get(reason, 0) + 1
    if many:
        report.estimated = True
        report.figures = {name: count * report.due // max(looked, 1) for name, count in figures.items()}
        if refused:
            report.inexact.append("some of its rows gain too little, which only packing all of them tells")
        return due
    report.figures = figures
    report.skipped = {**report.skipped, **refused}
    report.due = len(changing)
    return due.filter(AmongKeys(F("pk"), changing))
