"""Whether an index of the database, not only one of the models, leads to the rows of a policy."""

from collections.abc import Iterator

from session_cleanup.conf import conf
from session_cleanup.doctor.additions import migration_adding
from session_cleanup.doctor.case import Case
from session_cleanup.doctor.catalog import Index
from session_cleanup.doctor.findings import Finding, Severity
from session_cleanup.doctor.walking import Walking
from session_cleanup.policies.conditions import column
from session_cleanup.policies.indexes import fixed, goal, served_by_index, wanted_index

FEW = 10_000  # rows that may as well be read all
WHY = "Without one, each run reads and sorts the whole table before it finds the first row."


def of_walk(case: Case, walking: Walking, rows: int | None) -> Iterator[Finding]:
    """What keeps the walk from going by an index. `rows`: how many the table has, as far as is known."""
    who = case.policy.name
    if not walking.in_time:
        yield Finding(
            "step-too-slow",
            Severity.SERIOUS,
            who,
            f"One step of its walk takes longer than {conf.STATS_TIMEOUT_MS} ms.",
            "A run asks this before each batch.",
            "See what the plan of the statement reads. If the tables changed much of late, ANALYZE them.",
        )
    if walking.index is not None:
        if not walking.is_led and _by_size(rows) is Severity.SERIOUS:
            yield _not_used(case, walking)
        return
    leading = list(_leading(case))
    unfinished = [_invalid(case, index) for index in leading if not index.is_valid]
    if unfinished:
        yield from unfinished
    elif not leading and served_by_index(case.policy, case.model):
        yield _not_migrated(case)
    elif leading and all(index.condition for index in leading):
        yield _partial(case, leading, rows)
    else:
        yield _missing(case, rows)


def _leading(case: Case) -> Iterator[Index]:
    """The indexes that lead to the columns of the walk, if only they held the right rows."""
    walked = [column(name, case.model).column for name in case.policy.select.columns]
    first = {column(name, case.model).column for name in fixed(case.policy, case.model)} - {walked[-1]}
    wanted = [name for name in walked if name not in first]
    for index in case.catalog.indexes(case.table):
        if [name for name in index.columns if name not in first][: len(wanted)] == wanted:
            yield index


def _invalid(case: Case, index: Index) -> Finding:
    return Finding(
        "index-invalid",
        Severity.SERIOUS,
        case.policy.name,
        f"The index {index.name} of {case.table.name} is invalid: building it was never finished.",
        f"It slows each write and serves no question. {WHY}",
        f'REINDEX INDEX CONCURRENTLY "{index.name}", or drop it and migrate again.',
    )


def _partial(case: Case, leading: list[Index], rows: int | None) -> Finding:
    held = " or ".join(f"{index.condition} ({index.name})" for index in leading)
    return Finding(
        "index-partial",
        _by_size(rows),
        case.policy.name,
        f"What leads to {goal(case.policy)} in {case.table.name} holds only rows with {held}, "
        "which the policy does not ask for in words that the database can match.",
        WHY,
        "Give such an index the policy's own condition, or take this one beside it.",
        _migration(case),
    )


def _not_migrated(case: Case) -> Finding:
    return Finding(
        "index-not-migrated",
        Severity.SERIOUS,
        case.policy.name,
        f"{case.policy.model} declares an index that leads to {goal(case.policy)}, but the table "
        f"{case.table.name} has none.",
        WHY,
        f"python manage.py migrate --database {case.using}. If that has nothing to do, somebody dropped the "
        "index: make it again.",
    )


def _not_used(case: Case, walking: Walking) -> Finding:
    return Finding(
        "index-not-used",
        Severity.ADVICE,
        case.policy.name,
        f"The index {walking.index} leads to its rows in order, but the planner goes another way and sorts.",
        WHY.replace("Without one, each", "Each"),
        f"ANALYZE {case.table.name}.",
    )


def _missing(case: Case, rows: int | None) -> Finding:
    return Finding(
        "index-missing",
        _by_size(rows),
        case.policy.name,
        f"No index of {case.table.name} leads to {goal(case.policy)} in the order of the walk.",
        WHY,
        "Add this migration, and the index to the model's Meta.indexes where the model is yours.",
        _migration(case),
    )


def _by_size(rows: int | None) -> Severity:
    """What it means to read all rows."""
    return Severity.ADVICE if rows is not None and rows < FEW else Severity.SERIOUS


def _migration(case: Case) -> str:
    return migration_adding(wanted_index(case.policy, case.model), case.model, case.using)
