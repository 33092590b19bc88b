"""How many rows a table has, and how many of them meet a policy."""

from session_cleanup.doctor.case import Case
from session_cleanup.doctor.looking import counted


def rows_and_due(case: Case) -> tuple[int | None, int | None, bool]:
    """(rows, due rows, whether both are estimates). None: counting took too long."""
    everything = case.claims.candidates(case.policy.get_model())
    due = case.policy.matching(case.claims)
    sample = case.catalog.sample(case.table)
    if sample is None:
        return counted(everything), counted(due), False
    seen, met = counted(everything.filter(sample.holds)), counted(due.filter(sample.holds))
    estimate = None if not seen or met is None else round(sample.rows * met / seen)
    return sample.rows, estimate, True
