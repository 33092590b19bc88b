"""How quick the policies' own queries are, and which indexes are of use: measured, never guessed."""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import connections

from session_cleanup.analytics.asking import asked
from session_cleanup.analytics.figures import IndexUse, Query, Storage
from session_cleanup.analytics.sessions import ACTIVE, EXPIRED, INACTIVE, Tally
from session_cleanup.doctor.case import Case
from session_cleanup.doctor.examination import CATALOGS
from session_cleanup.doctor.walking import walking
from session_cleanup.models import Session
from session_cleanup.policies.claims import Claims
from session_cleanup.policies.policy import Policy

logger = logging.getLogger(__name__)
INDEXES = """
SELECT indexrelname, idx_scan, pg_relation_size(indexrelid)
FROM pg_stat_user_indexes WHERE relid = to_regclass(%s) ORDER BY indexrelname
"""


def storage(tally: Tally) -> list[Storage]:
    states = {"active": ACTIVE, "inactive": INACTIVE, "expired": EXPIRED}
    return [
        Storage(
            state=name,
            sessions=tally.sum("sessions", state),
            stored=tally.sum("stored", state, sized=True),
            decoded=tally.sum("decoded", state),
        )
        for name, state in states.items()
    ]


def queries(policies: Sequence[Policy], using: str, now: datetime) -> list[Query]:
    """The first step of each policy's walk, taken once, as a run would take it."""
    return [
        _query(Case(policy, Claims(using, now), CATALOGS[connections[using].vendor](using)))
        for policy in policies
    ]


def _query(case: Case) -> Query:
    name = case.policy.name
    try:
        way = walking(case)
    except Exception:  # a figure that cannot be had must not cost the report
        logger.exception("query not measured job=%s", name)
        return Query(job=name, seconds=None, index=None)
    return Query(job=name, seconds=way.seconds if way.in_time else None, index=way.index)


def indexes(using: str) -> list[IndexUse]:
    """How often each index of the sessions was used since the statistics of PostgreSQL began."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return []

    def question() -> list[IndexUse]:
        with connection.cursor() as cursor:
            cursor.execute(INDEXES, [Session._meta.db_table])
            return [IndexUse(name=name, scans=scans, size=size) for name, scans, size in cursor.fetchall()]

    return asked(using, question) or []
