"""The figures of a month: plain JSON data from the start, so that what is stored is what was measured.

A figure is None where it is not known: its query took too long, or it would be a share of nothing. Days
are "2026-01-31", shares from 0 to 1, and what is called `stored` or `decoded` is in bytes.
"""

from typing import TypedDict


class Totals(TypedDict):
    """Sessions now: all, those that are `active`, `inactive` (ended) or `expired`, and by their payload."""

    total: int
    active: int
    inactive: int
    expired: int
    invalid: int
    unchecked: int


class Scores(TypedDict):
    """health            valid, non-expired sessions ÷ all; one never checked is not held to be invalid
    utilisation       holders with an active session ÷ all holders
    expiration_rate   sessions that expired in the month ÷ those that lived in it, removed ones too
    storage_ratio     stored ÷ decoded bytes of the payloads whose size is known; lower is better
    used              active sessions accessed in the last 7 days ÷ active sessions
    """

    health: float | None
    utilisation: float | None
    expiration_rate: float | None
    storage_ratio: float | None
    used: float | None


class DayFigures(TypedDict):
    """created    sessions made on that day that are still there; None: some were too old to be kept
    accessed   sessions whose last access was on that day
    removed    sessions that runs deleted on that day
    """

    day: str
    created: int | None
    accessed: int
    removed: int


class HolderType(TypedDict):
    holder_type: str
    holders: int
    active_holders: int
    sessions: int


class Unused(TypedDict):
    """How many active sessions of a holder were not accessed in the last 7 days."""

    holder_type: str
    holder: str
    sessions: int


class Anomaly(TypedDict):
    """A day on which unusually many or few sessions were made, beside what is usual on its weekday."""

    day: str
    created: int
    low: float
    high: float


class Usage(TypedDict):
    """weekdays: the median of sessions created, Monday first. expiring: within 7 days; a holder counts
    whose active sessions all do."""

    days: list[DayFigures]
    weekdays: list[float | None]
    anomalies: list[Anomaly]
    holder_types: list[HolderType]
    holders: int
    active_holders: int
    average_age_days: float | None
    expiring_sessions: int
    expiring_holders: int
    unused: list[Unused]


class Storage(TypedDict):
    state: str
    sessions: int
    stored: int
    decoded: int


class Query(TypedDict):
    """What the first step of a policy's walk took, and the index by which it can go."""

    job: str
    seconds: float | None
    index: str | None


class IndexUse(TypedDict):
    name: str
    scans: int
    size: int


class Performance(TypedDict):
    """old_plain: payloads that are old enough to be compressed and are not. packed_ratio: the storage ratio
    of those that are."""

    average_payload: float | None
    storage: list[Storage]
    old_plain: int | None
    packed_ratio: float | None
    queries: list[Query]
    indexes: list[IndexUse]


class Due(TypedDict):
    """Sessions that become due on a day; counted where they exist already, else expected."""

    day: str
    sessions: int
    counted: bool


class Cleanup(TypedDict):
    """intake      sessions created a day; drain: sessions removed a day
    backlog     sessions due now for browser-expired; gone_on: the day on which the runs will have caught
                up, None: never, at this pace, or not known
    runs        how often that job ran in the month, and `expected`: how often its schedule says
    """

    intake: float | None
    drain: float
    backlog: int
    gone_on: str | None
    forecast: list[Due]
    runs: int
    expected: int
    schedule: str | None
    suggested: str | None


class Change(TypedDict):
    figure: str
    now: float | None
    before: float | None
    change: float | None  # of the figure before


class Metrics(TypedDict):
    sessions: Totals | None
    scores: Scores
    usage: Usage | None
    performance: Performance
    cleanup: Cleanup | None
    trend: list[Change]


class Recommendation(TypedDict):
    """type names its rule; priority is high, medium or low."""

    type: str
    priority: str
    title: str
    why: str
    what: str


class Document(TypedDict):
    """A report as it is stored, printed and exported."""

    month: str
    created_at: str
    metrics: Metrics
    recommendations: list[Recommendation]
