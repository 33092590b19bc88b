"""The one entrance: `examine` looks at each policy and its database, and changes nothing.

What cannot be asked (a database that is down, a missing table, a question that takes too long) is a
finding like any other, and does not keep the rest from being looked at.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.db import connections, router

from session_cleanup.conf import conf
from session_cleanup.doctor.case import Case
from session_cleanup.doctor.catalog import Catalog
from session_cleanup.doctor.conditions import of_conditions
from session_cleanup.doctor.connections import of_connection, unusable
from session_cleanup.doctor.findings import MEANINGS, Diagnosis, Examined, Finding, Severity
from session_cleanup.doctor.indexes import of_walk
from session_cleanup.doctor.looking import FAILURES
from session_cleanup.doctor.postgresql import PostgresCatalog
from session_cleanup.doctor.references import of_references
from session_cleanup.doctor.share import rows_and_due
from session_cleanup.doctor.side_effects import of_preview, of_receivers, of_triggers
from session_cleanup.doctor.sqlite import SqliteCatalog
from session_cleanup.doctor.storage import of_file, of_storage
from session_cleanup.doctor.walking import walking
from session_cleanup.engine.connections import Trouble, database_clock, trouble
from session_cleanup.engine.exactness import doubts
from session_cleanup.engine.plan import homes
from session_cleanup.engine.report import sentence
from session_cleanup.models import Claim, CleanupLease, CleanupRun, Hold, JobRun
from session_cleanup.policies import registry
from session_cleanup.policies.claims import Claims
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.validation import refuse_errors

CATALOGS: dict[str, type[Catalog]] = {"postgresql": PostgresCatalog, "sqlite": SqliteCatalog}
IN_TROUBLE = {
    Trouble.TOO_SLOW: "It took longer than {} ms.",
    Trouble.LOCKED: "It waited longer than {} ms for a lock.",
    Trouble.BUSY: "Another process was writing to the file for too long.",
}


def examine(
    jobs: Sequence[str] = (), database: str | None = None, *, now: datetime | None = None
) -> Diagnosis:
    """Look at the policies of the jobs or presets that are named, else at every policy.

    Raises ConfigurationError for what a run would refuse, too.
    """
    refuse_errors()
    everything = registry.policies_among(registry.jobs())
    chosen = registry.policies_among(registry.select(jobs)) if jobs else everything
    examination = _Examination(
        now, dict(zip((job.name for job in everything), doubts(everything), strict=True))
    )
    where = homes(chosen, database)
    history = router.db_for_write(CleanupRun)
    for using in dict.fromkeys([*where.values(), history]):
        here = [policy for policy in chosen if where[policy.name] == using]
        own = [CleanupLease, Hold, Claim] if here else []
        examination.of_database(using, here, [*own, *([CleanupRun, JobRun] if using == history else [])])
    return Diagnosis(
        examined_at=now or datetime.now(UTC),
        jobs=tuple(examination.jobs[policy.name] for policy in chosen),
        findings=tuple(sorted(dict.fromkeys(examination.findings), key=_rank)),
    )


def _rank(finding: Finding) -> tuple[int, int, str]:
    return list(Severity).index(finding.severity), list(MEANINGS).index(finding.slug), finding.subject


class _Examination:
    """What was found so far."""

    def __init__(self, now: datetime | None, doubted: dict[str, list[str]]) -> None:
        self.now = now
        self.doubted = doubted
        self.jobs: dict[str, Examined] = {}
        self.findings: list[Finding] = []

    def of_database(self, using: str, policies: Iterable[Policy], models: Sequence[Any]) -> None:
        """A database, its jobs, and the models of ours whose tables must be there."""
        for policy in policies:
            self.jobs[policy.name] = Examined(
                name=policy.name,
                model=policy.get_model()._meta.label,
                database=using,
                action=policy.action.name,
            )
        if broken := list(unusable(using)):
            self.findings += broken
            return
        catalog = CATALOGS[connections[using].vendor](using)
        claims = Claims(using, self.now or database_clock(using))
        self.note(using, using, of_connection(catalog), of_file(catalog), self.of_tables(catalog, models))
        for policy in policies:
            case = Case(policy, claims, catalog)
            before = len(self.findings)
            self.note(using, policy.name, self.of_tables(catalog, case.needed))
            if len(self.findings) == before:
                self.note(using, policy.name, *self.of_case(case))

    def note(self, using: str, subject: str, *looks: Iterator[Finding]) -> None:
        """Take what each of `looks` finds; one that fails is a finding itself."""
        for look in looks:
            try:
                for finding in look:
                    self.findings.append(finding)
            except FAILURES as error:
                self.findings.append(_not_examined(using, subject, error))

    def of_tables(self, catalog: Catalog, models: Iterable[Any]) -> Iterator[Finding]:
        for model in models:
            if catalog.table_of(model) is None:
                yield Finding(
                    "table-missing",
                    Severity.SERIOUS,
                    model._meta.db_table,
                    f"The table of {model._meta.label} is not in the database {catalog.using!r}.",
                    "A run refuses to start without it.",
                    f"python manage.py migrate --database {catalog.using}",
                )

    def of_case(self, case: Case) -> list[Iterator[Finding]]:
        return [
            self.of_rows(case),
            of_references(case),
            of_triggers(case),
            of_receivers(case),
            of_preview(case, self.doubted[case.policy.name]),
            of_conditions(case),
            of_storage(case),
        ]

    def of_rows(self, case: Case) -> Iterator[Finding]:
        name = case.policy.name
        way = walking(case)
        seen = replace(self.jobs[name], walk=way.name, index=way.index, questions=way.questions)
        self.jobs[name] = seen
        rows, due, sampled = rows_and_due(case)
        self.jobs[name] = replace(seen, rows=rows, due=due, sampled=sampled)
        yield from of_walk(case, way, rows)


def _not_examined(using: str, subject: str, error: Any) -> Finding:
    kind = trouble(error, using)
    said = IN_TROUBLE[kind].format(conf.STATS_TIMEOUT_MS) if kind in IN_TROUBLE else sentence(error)
    return Finding(
        "not-examined",
        Severity.ADVICE,
        subject,
        f"A question about it failed: {said}",
        "What it would have told is not known.",
        "Ask again when the database is less busy, with a longer SESSION_CLEANUP_STATS_TIMEOUT_MS, or as a "
        "role that may read the table.",
    )
