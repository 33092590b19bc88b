"""What runs took away beside what came in, from the history of runs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import router
from django.db.models import Count, Q, QuerySet, Sum

from session_cleanup.analytics.asking import asked
from session_cleanup.analytics.expressions import Day
from session_cleanup.analytics.figures import Cleanup
from session_cleanup.analytics.forecast import (
    CATCH_UP_DAYS,
    ROOM,
    forecast,
    gone_on,
    runs_a_day,
    suggested,
)
from session_cleanup.analytics.months import Month
from session_cleanup.analytics.sessions import FORECAST_DAYS, Moments
from session_cleanup.models import CleanupRun, JobRun, Session
from session_cleanup.models.history import as_stored
from session_cleanup.policies import registry
from session_cleanup.policies.schedules import schedule_of

EXPIRY = "browser-expired"
LIMITED = (JobRun.EndState.CAPPED, JobRun.EndState.TIMED_OUT, JobRun.EndState.STOPPED)


@dataclass(frozen=True)
class Removed:
    """Sessions that the runs of a month deleted: by day, and by job with how often it ran."""

    days: Counter[date]
    jobs: Counter[str]
    runs: Counter[str]
    limited_runs: int  # of browser-expired: those that a limit ended
    limited_rows: int  # and what they deleted

    @classmethod
    def nothing(cls) -> "Removed":
        return cls(Counter(), Counter(), Counter(), 0, 0)


def removed(month: Month) -> Removed | None:
    """What the history says; None when asking takes too long."""
    groups = asked(router.db_for_write(CleanupRun), lambda: list(_by_day_and_job(month)))
    if groups is None:
        return None
    found = Removed(Counter(), Counter(), Counter(), *(_sum(groups, each) for each in ("limited", "rows")))
    for group in groups:
        found.days[group["day"]] += group["removed"]
        found.jobs[group["job"]] += group["removed"]
        found.runs[group["job"]] += group["runs"]
    return found


def _by_day_and_job(month: Month) -> QuerySet[Any, Any]:
    limited = Q(job=EXPIRY, end_state__in=LIMITED)
    return (
        JobRun.objects.using(router.db_for_write(CleanupRun))
        .filter(job__startswith="browser-", action="delete", model=Session._meta.label)
        .filter(run__started_at__gte=as_stored(month.start), run__started_at__lt=as_stored(month.end))
        .order_by()
        .values("job", day=Day("run__started_at"))
        .annotate(
            removed=Sum("changed"),
            runs=Count("pk"),
            limited=Count("pk", filter=limited),
            rows=Sum("changed", filter=limited),
        )
    )


def _sum(groups: Sequence[dict[str, Any]], name: str) -> int:
    return sum(group[name] or 0 for group in groups)


def cleanup(
    moments: Moments,
    found: Removed,
    *,
    created: Counter[date],
    usual: Sequence[float | None],
    intake: float | None,
    backlog: int,
) -> Cleanup:
    days = len(moments.month.days)
    today = moments.now.date()
    cron = next((schedule_of(job) for job in registry.jobs() if job.name == EXPIRY), None)
    a_day = runs_a_day(cron) if cron else 0.0
    a_run = found.limited_rows / found.limited_runs if found.limited_runs else None
    needed = ((intake or 0) * ROOM + backlog / CATCH_UP_DAYS) / a_run if a_run else a_day
    caught_up = gone_on(today, backlog, intake or 0, a_run and a_run * a_day)
    return Cleanup(
        intake=intake,
        drain=found.days.total() / days,
        backlog=backlog,
        gone_on=None if caught_up is None else caught_up.isoformat(),
        forecast=forecast(created, usual, today=today, lifetime=moments.lifetime, days=FORECAST_DAYS),
        runs=found.runs[EXPIRY],
        expected=round(a_day * days),
        schedule=cron,
        suggested=suggested(cron, needed) if cron and needed > a_day else cron,
    )
