"""Who holds browser sessions: one statement that reads the table once, and groups it by holder.

A session without a holder counts as a session, but for no holder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.models import CharField, Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Cast

from session_cleanup.analytics.asking import asked
from session_cleanup.analytics.figures import HolderType, Unused
from session_cleanup.analytics.sessions import WEEK, Moments, browser_sessions
from session_cleanup.conf import conf
from session_cleanup.engine.sql import selecting
from session_cleanup.models.history import as_stored

MOST_UNUSED = 10  # holders that are named
# Of the holders table: what is known of each type, and who has most sessions that nobody uses.
HOLDERS = """
WITH holders AS ({holders})
SELECT 'type', holder_type, '', count(holder), count(holder) FILTER (WHERE active > 0), sum(sessions),
    count(holder) FILTER (WHERE active > 0 AND expiring = active), sum(expiring)
FROM holders GROUP BY holder_type
UNION ALL
SELECT * FROM (
    SELECT 'unused', holder_type, holder, 0, 0, unused, 0, 0
    FROM holders WHERE unused > 0 AND holder IS NOT NULL
    ORDER BY unused DESC, holder_type, holder LIMIT {most}
) AS most
"""


@dataclass(frozen=True)
class Holders:
    """What is known of the holders; with SESSION_CLEANUP_HOLDER_MODEL two more statements tell."""

    types: list[HolderType]
    unused: list[Unused]
    holders: int
    active: int
    expiring: int
    expiring_sessions: int


def holders(using: str, moments: Moments) -> Holders | None:
    sql, params = selecting(_by_holder(using, moments))
    rows = asked(using, lambda: _rows(using, HOLDERS.format(holders=sql, most=MOST_UNUSED), params))
    if rows is None:
        return None
    types, unused, expiring, expiring_sessions = [], [], 0, 0
    for what, kind, holder, every, active, sessions, leaving, leaving_sessions in rows:
        if what == "unused":
            unused.append(Unused(holder_type=kind, holder=holder, sessions=int(sessions)))
            continue
        types.append(
            HolderType(holder_type=kind, holders=every, active_holders=active, sessions=int(sessions))
        )
        expiring += leaving
        expiring_sessions += int(leaving_sessions)
    types.sort(key=lambda each: each["holder_type"])
    seen = sum(each["holders"] for each in types), sum(each["active_holders"] for each in types)
    known = _of_model(using, moments) if conf.HOLDER_MODEL else seen
    return known and Holders(types, unused, *known, expiring, expiring_sessions)


def _by_holder(using: str, moments: Moments) -> QuerySet[Any, Any]:
    active, unused = _active(moments), Q(last_activity_at__lt=as_stored(moments.now - WEEK))
    return (
        browser_sessions(using)
        .order_by()
        .values("holder_type", "holder")
        .annotate(
            sessions=Count("pk"),
            active=Count("pk", filter=active),
            unused=Count("pk", filter=active & unused),
            expiring=Count("pk", filter=active & moments.expired_by(moments.now + WEEK)),
        )
    )


def _of_model(using: str, moments: Moments) -> tuple[int, int] | None:
    """How many rows SESSION_CLEANUP_HOLDER_MODEL has, and how many of them hold an active session."""
    app, model, key = f"{conf.HOLDER_MODEL}.pk".split(".")[:3]
    rows = apps.get_model(app, model)._base_manager.using(using)
    theirs = browser_sessions(using).filter(_active(moments), holder=Cast(OuterRef(key), CharField()))
    return asked(using, lambda: (rows.count(), rows.filter(Exists(theirs)).count()))


def _active(moments: Moments) -> Q:
    return Q(is_active=True) & ~moments.expired_by(moments.now)


def _rows(using: str, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
