"""The plan of a run: its jobs in their order, with what each is given. Whatever can be refused is, here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import InterfaceError, OperationalError, ProgrammingError, connections, router

from session_cleanup.engine.connections import Trouble, database_clock, trouble
from session_cleanup.engine.exactness import sees
from session_cleanup.engine.footprint import to_remember
from session_cleanup.engine.report import JobReport, RunRequest, sentence
from session_cleanup.engine.routines import work_of
from session_cleanup.engine.walks import KeysetWalk
from session_cleanup.exceptions import ConfigurationError, DatabaseUnavailable
from session_cleanup.models import Claim, CleanupLease, CleanupRun, Hold, JobRun, PackingDictionary
from session_cleanup.policies import registry
from session_cleanup.policies.claims import Claims
from session_cleanup.policies.fit import strangers
from session_cleanup.policies.job import Job, Routine
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.validation import refuse_errors

FORBIDDEN = "42501"  # SQLSTATE: insufficient privilege


@dataclass
class Plan:
    """The jobs of a run in their order, each with its claims and the report that it fills in."""

    now: datetime
    history: str  # the alias of the history
    jobs: list[Job]
    claims: dict[str, Claims]  # by job; jobs in one database share them
    reports: list[JobReport]
    run_id: int | None = None
    finished_at: datetime | None = None

    @classmethod
    def make(cls, request: RunRequest, now: datetime | None, policies: Sequence[Policy] = ()) -> "Plan":
        refuse_errors()
        jobs = with_age(policies or registry.select(request.jobs, request.group), request.age)
        jobs = with_options(jobs, request.given)
        aliases = homes(jobs, request.database)
        history = router.db_for_write(CleanupRun)
        check_tables(history, [CleanupRun, JobRun])
        for using in set(aliases.values()):
            here = [job.get_model() for job in jobs if aliases[job.name] == using]
            check_tables(using, [CleanupLease, Hold, Claim, PackingDictionary, *here])
        for job in jobs:
            if isinstance(job, Routine) and job.given:
                work_of(job).refuse(aliases[job.name])
        now = now or database_clock(aliases[jobs[0].name])
        shared = {using: Claims(using, now) for using in aliases.values()}
        return cls(
            now=now,
            history=history,
            jobs=jobs,
            claims={name: shared[using] for name, using in aliases.items()},
            reports=[_blank_report(job, aliases[job.name], now, request) for job in jobs],
        )

    @property
    def policies(self) -> list[Policy]:
        return registry.policies_among(self.jobs)

    def remembered(self, policy: Policy) -> set[Any]:
        """The models of which later jobs must know the rows that this one changed."""
        return to_remember(policy, self._later(policy))

    def watched(self, policy: Policy) -> set[Any]:
        """The models of which later jobs must know the rows that this one deleted."""
        return {model for later in self._later(policy) for model in sees(later)}

    def _later(self, policy: Policy) -> list[Policy]:
        later = self.policies[self.policies.index(policy) + 1 :]
        return [each for each in later if self.claims[each.name] is self.claims[policy.name]]


def homes(jobs: Sequence[Job], database: str | None) -> dict[str, str]:
    """The database of each job by its name: `database`, or else its own. Refuses where it cannot run."""
    if database is not None and database not in connections:
        raise ConfigurationError(
            f"There is no database {database!r}.{registry.did_you_mean(database, connections)} "
            f"DATABASES has {', '.join(connections)}."
        )
    aliases = {job.name: database or job.get_database() for job in jobs}
    for policy in registry.policies_among(jobs):
        for stranger in strangers(policy, aliases[policy.name]):
            raise ConfigurationError(f"{stranger} Leave that job or --database out.")
    return aliases


def with_age(jobs: Sequence[Job], age: Any) -> list[Job]:
    """The jobs, those that take the given age option with that age."""
    if age is None:
        return list(jobs)
    option, older_than = age
    takers = {
        policy.name: policy.aged(older_than)
        for policy in registry.policies_among(jobs)
        if policy.age_option == option
    }
    if not takers:
        names = ", ".join(job.name for job in jobs)
        raise ConfigurationError(
            f"None of the jobs of this run ({names}) takes --{option}. Leave it out, or name a job whose "
            f'policy says age_option="{option}".'
        )
    return [takers.get(job.name, job) for job in jobs]


def with_options(jobs: Sequence[Job], given: Mapping[str, Any]) -> list[Job]:
    """The jobs, those that take all that was given with it."""
    takers = {
        job.name: replace(job, given=given)
        for job in jobs
        if isinstance(job, Routine) and set(given) <= set(job.options)
    }
    if given and not takers:
        names = ", ".join(job.name for job in jobs)
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigurationError(
            f"None of the jobs of this run ({names}) takes {options}. Leave it out, or name a job that does."
        )
    return [takers.get(job.name, job) for job in jobs]


def check_tables(using: str, models: Sequence[Any]) -> None:
    """Refuse a database that cannot be worked in, with one statement: is it up, are the tables there?"""
    connection = connections[using]
    if connection.vendor not in ("postgresql", "sqlite"):
        raise ConfigurationError(
            f"The database {using!r} is {connection.display_name}. Policies run in PostgreSQL and SQLite."
        )
    if not connection.settings_dict["AUTOCOMMIT"]:
        raise ConfigurationError(
            f"The database {using!r} has AUTOCOMMIT off, so a batch could not be a transaction of its own. "
            "Remove AUTOCOMMIT from its settings."
        )
    tables = sorted({model._meta.db_table for model in models})
    probes = ", ".join(f"(SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT 0)" for table in tables)
    try:
        connection.ensure_connection()
    except (OperationalError, InterfaceError) as error:
        raise _unavailable(using, error) from error
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {probes}")
    except (ProgrammingError, OperationalError, InterfaceError) as error:
        if trouble(error, using) is Trouble.LOST:
            raise _unavailable(using, error) from error
        said = sentence(type(error)(str(error).splitlines()[0]))
        if getattr(error.__cause__, "sqlstate", None) == FORBIDDEN:
            cure = "Grant this role what the README names under Grants."
        else:
            cure = f"Run: python manage.py migrate --database {using}"
        raise ConfigurationError(
            f"The database {using!r} lacks something that this run needs: {said} {cure}"
        ) from error


def _unavailable(using: str, error: Exception) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"The database {using!r} does not answer: {sentence(error)} Nothing was touched."
    )


def _blank_report(job: Job, using: str, now: datetime, request: RunRequest) -> JobReport:
    report = JobReport(
        name=job.name,
        model=job.get_model()._meta.label,
        database=using,
        group=job.group,
        action=None,
        counter=job.log_counter,
        verb=job.verb,
        preset=job.preset,
    )
    if isinstance(job, Policy):
        report.action = job.action.name
        report.cutoff = job.select.cutoff(now)
        report.walk = KeysetWalk.name
        report.age, report.clock = job.age, job.clock
        if request.age is not None and job.age_option == request.age[0]:
            report.age_option = job.age_option
    return report
