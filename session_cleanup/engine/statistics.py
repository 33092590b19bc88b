"""How the rows of each system stand: the figures of --stats, --verbose and the admin.

Each figure is one count, bounded by SESSION_CLEANUP_STATS_TIMEOUT_MS; one that takes longer is None,
never 0.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models import Q, QuerySet

from session_cleanup.conf import conf
from session_cleanup.engine.connections import Trouble, bounded, trouble
from session_cleanup.engine.footprint import judged
from session_cleanup.engine.report import Statistics
from session_cleanup.exceptions import UnreadableValues
from session_cleanup.models.history import as_stored
from session_cleanup.policies.claims import Claims
from session_cleanup.policies.conditions import facts
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.selections import Aged

logger = logging.getLogger(__name__)
Rows = QuerySet[Any]
HOUR = timedelta(hours=1)


def statistics(policies: Sequence[Policy], claims: Mapping[str, Claims]) -> dict[str, Statistics]:
    """The figures of each preset, and of each job that belongs to none, by name."""
    systems: dict[str, list[Policy]] = {}
    for policy in policies:
        systems.setdefault(policy.preset or policy.name, []).append(policy)
    found = {}
    for name, jobs in systems.items():
        try:
            found[name] = _system(jobs, claims)
        except (DatabaseError, InterfaceError):  # what cannot be counted is not known; the jobs still run
            logger.exception("the statistics failed of=%s", name)
            found[name] = Statistics(jobs[0].model)
    return found


def ages(policies: Sequence[Policy], claims: Mapping[str, Claims]) -> dict[str, Statistics]:
    """Only the ages, of the jobs that show them."""
    found = {}
    for policy in policies:
        if policy.by_age:
            name = policy.preset or policy.name
            try:
                buckets = by_age(policy, claims[policy.name])
            except (DatabaseError, InterfaceError):
                logger.exception("the ages failed of=%s", name)
                buckets = {}
            found[name] = Statistics(
                policy.model, orphaned=_sum(buckets) if buckets else None, by_age=buckets
            )
    return found


def _system(jobs: Sequence[Policy], claims: Mapping[str, Claims]) -> Statistics:
    """Count the rows of the first job's model that share the constants of a preset's condition."""
    first = jobs[0]
    model = first.get_model()
    here = claims[first.name]
    rows = model._base_manager.using(here.using).filter(_kind(first))
    own = [job for job in jobs if job.get_model() is model]
    active = inactive = None
    if _has_field(model, "is_active"):
        active, inactive = (count(rows.filter(is_active=state)) for state in (True, False))
    dues = [count_due(job, claims[job.name]) for job in own]
    ages = next((by_age(job, claims[job.name]) for job in own if job.by_age), None)
    return Statistics(
        model=model._meta.label,
        active=active,
        inactive=inactive,
        total=count(rows),
        due=None if None in dues else sum(due for due in dues if due),
        orphaned=_sum(ages) if ages else None,
        by_age=ages,
    )


def count_due(policy: Policy, claims: Claims) -> int | None:
    """How many rows are due for the job by itself; None where that takes too long, or cannot be told."""
    try:
        rows = judged(policy, claims, seconds=conf.STATS_TIMEOUT_MS / 1000)
    except (TimeoutError, UnreadableValues):
        return None
    return count(rows.filter(verdict=""))


def by_age(policy: Policy, claims: Claims) -> dict[str, int | None]:
    """The rows that meet `where`, by age in hours, youngest first; the last bucket is what is old enough."""
    assert isinstance(policy.select, Aged)
    limit = policy.select.older_than
    edges = [edge for edge in (HOUR, 6 * HOUR) if edge < limit] + [limit] if limit else [HOUR, 6 * HOUR]
    clock = policy.select.clock
    rows = claims.candidates(policy.get_model()).filter(policy.where)
    buckets: dict[str, int | None] = {}
    for younger, older in zip([None, *edges], [*edges, None], strict=True):
        bucket = rows
        if younger is not None:
            bucket = bucket.filter(**{f"{clock}__lt": as_stored(claims.now - younger)})
        if older is not None:
            bucket = bucket.filter(**{f"{clock}__gte": as_stored(claims.now - older)})
        buckets[_bucket_name(younger, older)] = count(bucket)
    return buckets


def count(rows: Rows) -> int | None:
    """How many; None when that takes longer than SESSION_CLEANUP_STATS_TIMEOUT_MS."""
    connection = connections[rows.db]
    try:
        with transaction.atomic(using=rows.db), bounded(connection, conf.STATS_TIMEOUT_MS):
            return rows.count()
    except (DatabaseError, InterfaceError) as error:
        if trouble(error, rows.db) is Trouble.TOO_SLOW:
            return None
        raise


def _kind(policy: Policy) -> Q:
    """What tells a preset's rows from those of others in the same table."""
    known = facts(policy.where, policy.get_model())
    kinds = [value for name, lookup, value in known if (name, lookup) == ("kind", "exact")]
    return Q(kind=kinds[0]) if kinds else Q()


def _sum(counts: Mapping[str, int | None]) -> int | None:
    known = [count for count in counts.values() if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _bucket_name(younger: timedelta | None, older: timedelta | None) -> str:
    if younger is None:
        return f"<{_hours(older)}h"
    return f">{_hours(younger)}h" if older is None else f"{_hours(younger)}-{_hours(older)}h"


def _hours(age: timedelta | None) -> str:
    return f"{age / HOUR:g}" if age is not None else ""


def _has_field(model: Any, name: str) -> bool:
    try:
        model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True
