"""Says what a restore would do, and writes nothing: what is in the way of rows, as far as reading tells.

That a unique value is taken, or that a parent could not be put back itself, shows only when it is done.
"""

from collections.abc import Sequence

from django.db import transaction

from session_cleanup.engine.hanging import AskedFor, Rows, taken
from session_cleanup.engine.putting_back import Target
from session_cleanup.engine.records import Row
from session_cleanup.engine.restore_report import LeftAlone, RestoredJob
from session_cleanup.engine.restoring import parents_first
from session_cleanup.engine.undo import write_losslessly
from session_cleanup.models import UndoSet


def rehearse(sets: Sequence[UndoSet], report: RestoredJob, asked: AskedFor | None) -> None:
    """Fill in what restoring these sets would do."""
    with transaction.atomic(using=report.database):
        write_losslessly(report.database)
        _rehearse(sets, report, asked)


def _rehearse(sets: Sequence[UndoSet], report: RestoredJob, asked: AskedFor | None) -> None:
    targets = [Target(saved, report.database) for saved in sets]
    changes = [target for target in targets if not target.deleted]
    astray = taken(targets)
    for target in [*parents_first([target for target in targets if target.deleted]), *changes]:
        for records in target.chunks():
            rows, closed = target.read(records)
            wanted = asked.among(target, rows) if asked else rows
            for row in closed:
                report.leave(LeftAlone(target.saved.model, row.key, "closed"))
            in_the_way = _in_the_way(target, wanted, astray)
            for row in wanted:
                if row.key in in_the_way:
                    reason = in_the_way[row.key]
                    report.leave(LeftAlone(target.saved.model, row.key, reason, target.problem))
            report.restored[target.label] += len(wanted) - len(in_the_way)
        report.emptied += [f"{target.saved.model}.{name}" for name in target.saved.left_out]
    report.restored = +report.restored


def _in_the_way(target: Target, rows: list[Row], astray: Rows) -> dict[str, str]:
    """The reason why a row would be left alone, by its key."""
    if target.problem:
        return {row.key: "no_place" for row in rows}
    lost = {row.key: "parent_gone" for row in rows if astray.referred_by(target, row)}
    there = target.existing(rows)
    if target.deleted:
        return lost | {row.key: "key_exists" for row in rows if row.key in there}
    right = target.having(rows, after=True) | target.having(rows, after=False)
    return lost | {row.key: "changed" if row.key in there else "gone" for row in rows if row.key not in right}
