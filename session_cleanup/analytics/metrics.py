"""Puts the figures of a month together. What could not be measured is None, and the rest is there."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from session_cleanup.analytics import performance
from session_cleanup.analytics.anomalies import anomalies, weekdays
from session_cleanup.analytics.cleanup import EXPIRY, Removed, cleanup, removed
from session_cleanup.analytics.figures import (
    Change,
    Cleanup,
    DayFigures,
    Metrics,
    Performance,
    Scores,
    Totals,
    Usage,
)
from session_cleanup.analytics.holders import Holders, holders
from session_cleanup.analytics.months import DAY, Month
from session_cleanup.analytics.sessions import (
    ACTIVE,
    DUE,
    EXPIRED,
    INACTIVE,
    PACKED,
    PLAIN,
    USED,
    Moments,
    Tally,
    tally,
)
from session_cleanup.conf import conf
from session_cleanup.policies import registry


def measure(using: str, month: Month, now: datetime, before: Metrics | None = None) -> Metrics:
    """The figures of `month` as they stand at `now`; `before`: those of the month before it."""
    moments = Moments(month, now.astimezone(UTC))
    counted, held, history = tally(using, moments), holders(using, moments), removed(month)
    gone = history or Removed.nothing()
    created = _created(moments, counted)
    found = Metrics(
        sessions=None if counted is None else _totals(counted),
        scores=_scores(counted, held, gone),
        usage=None if counted is None or held is None else _usage(moments, counted, held, gone, created),
        performance=_performance(using, now, counted),
        cleanup=None if counted is None or history is None else _cleanup(moments, counted, history, created),
        trend=[],
    )
    found["trend"] = _trend(found, before)
    return found


def ratio(part: float | None, whole: float | None) -> float | None:
    """A share; None where there is nothing to have a share of."""
    return part / whole if part is not None and whole else None


def _created(moments: Moments, counted: Tally | None) -> dict[date, int]:
    """Sessions created on each day of the month of which all can still be there."""
    if counted is None:
        return {}
    known = moments.horizon.date() + DAY
    return {day: counted.created[day] for day in moments.month.days if day >= known}


def _cleanup(moments: Moments, counted: Tally, history: Removed, created: Mapping[date, int]) -> Cleanup:
    return cleanup(
        moments,
        history,
        created=counted.created,
        usual=weekdays(created),
        intake=ratio(sum(created.values()), len(created)),
        backlog=counted.sum("sessions", {DUE}),
    )


def _totals(counted: Tally) -> Totals:
    return Totals(
        total=counted.sum("sessions"),
        active=counted.sum("sessions", ACTIVE),
        inactive=counted.sum("sessions", INACTIVE),
        expired=counted.sum("sessions", EXPIRED),
        invalid=counted.sum("sessions", valid=False),
        unchecked=counted.sum("sessions", valid=None),
    )


def _scores(counted: Tally | None, held: Holders | None, gone: Removed) -> Scores:
    health = expiration = storage = used = None
    if counted:
        living = ACTIVE | INACTIVE
        healthy = counted.sum("sessions", living) - counted.sum("sessions", living, valid=False)
        health = ratio(healthy, counted.sum("sessions"))
        expiration = ratio(
            counted.sum("ran_out") + gone.jobs[EXPIRY], counted.sum("lived") + gone.days.total()
        )
        storage = ratio(counted.sum("stored", sized=True), counted.sum("decoded"))
        used = ratio(counted.sum("sessions", {USED}), counted.sum("sessions", ACTIVE))
    return Scores(
        health=health,
        utilisation=None if held is None else ratio(held.active, held.holders),
        expiration_rate=expiration,
        storage_ratio=storage,
        used=used,
    )


def _usage(
    moments: Moments, counted: Tally, held: Holders, gone: Removed, created: Mapping[date, int]
) -> Usage:
    age = ratio(counted.sum("seconds"), counted.sum("sessions"))
    return Usage(
        days=[
            DayFigures(
                day=day.isoformat(),
                created=created.get(day),
                accessed=counted.accessed[day],
                removed=gone.days[day],
            )
            for day in moments.month.days
        ],
        weekdays=weekdays(created),
        anomalies=anomalies(created, conf.RECOMMEND_ANOMALY_MAD),
        holder_types=held.types,
        holders=held.holders,
        active_holders=held.active,
        average_age_days=None if age is None else age / DAY.total_seconds(),
        expiring_sessions=held.expiring_sessions,
        expiring_holders=held.expiring,
        unused=held.unused,
    )


def _performance(using: str, now: datetime, counted: Tally | None) -> Performance:
    policies = registry.policies_among(registry.preset("browser"))
    found = Performance(
        average_payload=None,
        storage=[],
        old_plain=None,
        packed_ratio=None,
        queries=performance.queries(policies, using, now),
        indexes=performance.indexes(using),
    )
    if counted is not None:
        found["average_payload"] = ratio(counted.sum("decoded"), counted.sum("sessions", sized=True))
        found["storage"] = performance.storage(counted)
        found["old_plain"] = counted.sum("sessions", form=PLAIN)
        stored, decoded = (counted.sum(name, form=PACKED, sized=True) for name in ("stored", "decoded"))
        found["packed_ratio"] = ratio(stored, decoded)
    return found


def _trend(found: Metrics, before: Metrics | None) -> list[Change]:
    """The main figures beside those of the month before."""
    was = _main(before) if before else {}
    changes = []
    for name, now in _main(found).items():
        then = was.get(name)
        risen = None if now is None or then is None else now - then
        changes.append(Change(figure=name, now=now, before=then, change=ratio(risen, then)))
    return changes


def _main(metrics: Metrics) -> dict[str, float | None]:
    totals, cleaned, scores = metrics["sessions"], metrics["cleanup"], metrics["scores"]
    return {
        "sessions": totals and totals["total"],
        "active sessions": totals and totals["active"],
        "created a day": cleaned and cleaned["intake"],
        "removed a day": cleaned and cleaned["drain"],
        "health": scores["health"],
        "utilisation": scores["utilisation"],
        "storage ratio": scores["storage_ratio"],
    }
