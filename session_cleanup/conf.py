"""Settings, all named SESSION_CLEANUP_*, read from Django's settings at each access.

`conf.HOURS` is the value in force; a value that is out of range raises ConfigurationError there, and
the system checks report it at start-up with the same words.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from django.conf import settings as django_settings

from session_cleanup.exceptions import ConfigurationError

PREFIX = "SESSION_CLEANUP_"
UNLIMITED = "for no limit"
SHORTEST_SECRET = 16  # characters
T = TypeVar("T")


def boolean(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be True or False"


def names(value: object) -> str | None:
    ok = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    return None if ok else "must be a list of names"


def keys(value: object) -> str | None:
    ok = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    return None if ok else "must be a list of keys"


def schedules(value: object) -> str | None:
    ok = isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(cron, str) for name, cron in value.items()
    )
    return None if ok else "must be a dict of job or group to cron expression"


def adaptive(value: object) -> str | None:
    ok = isinstance(value, dict) and all(
        isinstance(name, str)
        and isinstance(bounds, list | tuple)
        and len(bounds) == 3
        and all(type(number) is int for number in bounds)
        and 1 <= bounds[0] <= bounds[1] <= 44_640
        and 1 <= bounds[2] <= 10**12
        for name, bounds in value.items()
    )
    return (
        None
        if ok
        else (
            "must be a dict of job to (minutes at least, minutes at most, rows), with 1 to 44640 minutes and "
            "1 row or more"
        )
    )


def secrets(value: object) -> str | None:
    ok = isinstance(value, list | tuple) and all(
        isinstance(item, str) and len(item) >= SHORTEST_SECRET and item.isprintable() and " " not in item
        for item in value
    )
    return None if ok else f"must be a list of texts of {SHORTEST_SECRET} characters or more, without spaces"


@dataclass(frozen=True, init=False)
class one_of:
    """One of a few words."""

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    def __call__(self, value: object) -> str | None:
        return None if value in self.words else f"must be one of {', '.join(map(repr, self.words))}"


def days(value: object) -> str | None:
    ok = isinstance(value, dict) and all(
        isinstance(name, str) and type(number) is int and 1 <= number <= 3650
        for name, number in value.items()
    )
    return None if ok else "must be a dict of job or preset to a whole number from 1 to 3650"


def holder_model(value: object) -> str | None:
    parts = value.split(".") if isinstance(value, str) else []
    if value is None or (len(parts) in (2, 3) and all(part.isidentifier() for part in parts)):
        return None
    return 'must be "app.Model" or "app.Model.field", or None where any holder may exist'


@dataclass(frozen=True)
class whole_number:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int
    none: str = ""  # what None means, where None is allowed

    def __call__(self, value: object) -> str | None:
        if value is None and self.none:
            return None
        if type(value) is int and self.low <= value <= self.high:
            return None
        unless = f", or None {self.none}" if self.none else ""
        return f"must be a whole number from {self.low} to {self.high}{unless}"


@dataclass
class Setting(Generic[T]):
    """One setting: its default and the rule its value must pass."""

    default: T
    rule: Callable[[object], str | None]
    secret: bool = False  # never shown
    name: str = field(default="", init=False)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = PREFIX + name

    def __get__(self, instance: object, owner: type) -> T:
        value: Any = getattr(django_settings, self.name, self.default)
        if problem := self.problem(value):
            raise ConfigurationError(problem)
        return value  # type: ignore[no-any-return]

    def problem(self, value: object) -> str | None:
        """What is wrong with `value`, as a sentence, or None."""
        rule = self.rule(value)
        shown = "not shown here" if self.secret else repr(value)
        return rule and f"{self.name} is {shown}, but {rule}. Its default is {self.default!r}."


class Conf:
    # Whether runs may change anything. False: they say why not and exit 0.
    ENABLED = Setting(True, boolean)
    # The shipped systems and the libraries' tables that are on: "presentations", "django-sessions" …
    PRESETS = Setting[list[str]]([], names)
    # Cron expressions (UTC) that replace a job's or a group's own.
    SCHEDULES = Setting[dict[str, str]]({}, schedules)
    # Jobs that the scheduler moves by their backlog: {"presentations-blank": (15, 720, 1000)} lets it start
    # that job every 15 to 720 minutes, so that about 1000 rows are due each time.
    ADAPTIVE = Setting[dict[str, tuple[int, int, int]]]({}, adaptive)
    # Seconds by which the scheduler delays a timer at most, by chance; at most a tenth of its interval.
    JITTER_SECONDS = Setting(30, whole_number(0, 3600))
    # A job is stale once its last success is so many of its intervals old: then …/health/ says 503.
    STALE_FACTOR = Setting(2, whole_number(1, 100))

    # What callers of the HTTP endpoint must know, one of them; none: the endpoint is closed.
    CRON_SECRETS = Setting[list[str]]([], secrets, secret=True)
    # Whether a GET runs jobs too, for platforms that can do nothing else.
    CRON_ALLOW_GET = Setting(False, boolean)
    # Seconds that an HTTP call may take, between two batches; the next one goes on.
    CRON_SECONDS = Setting(25, whole_number(1, 3600))
    # Wrong secrets a minute that a process answers as such; to more it says 429.
    CRON_FAILURES_PER_MINUTE = Setting(20, whole_number(1, 10_000))

    # Hours after which a blank presentation is an orphan.
    HOURS = Setting(24, whole_number(1, 168))
    # Days that a collaborative session lives on after its last activity.
    INACTIVITY_DAYS = Setting(7, whole_number(1, 3650))
    # Days after which the payload of a browser session is compressed.
    COMPRESS_DAYS = Setting(7, whole_number(1, 3650))
    # What it is compressed with: "zlib", or "zstd" (Python 3.14, or the extra zstd).
    COMPRESS_CODEC = Setting("zlib", one_of("zlib", "zstd"))
    # Days a decline is kept, counted from its last date.
    DECLINE_DAYS = Setting(7, whole_number(1, 3650))
    # Days an ended after-hours session is kept.
    ENDED_DAYS = Setting[int | None](None, whole_number(1, 3650, none="to keep them for ever"))
    # Days a browser session is kept, from its creation.
    EXPIRY_DAYS = Setting(30, whole_number(1, 365))
    # Browser sessions a holder may have; more are deleted, the oldest first.
    MAX_PER_HOLDER = Setting(10, whole_number(1, 10_000))
    # Whose key the holder of a browser session is: "crm.Lead", or "crm.Lead.number" for a field of its own.
    HOLDER_MODEL = Setting[str | None](None, holder_model)
    # Days that rows of libraries are kept, by preset or by job: {"axes": 60, "tasks-db-failed": 90}.
    KEEP_DAYS = Setting[dict[str, int]]({}, days)
    # Days ahead that the sessions of a series are generated; a series may set its own.
    HORIZON_DAYS = Setting(30, whole_number(1, 366))
    # Days after which a closed recurring session is archived.
    ARCHIVE_DAYS = Setting(90, whole_number(1, 3650))
    # Days the history of runs is kept.
    HISTORY_DAYS = Setting(90, whole_number(1, 3650))
    # Days that what the shipped systems delete can be taken back; 0: not at all.
    UNDO_DAYS = Setting(30, whole_number(0, 3650))
    # Fernet keys that encrypt secret columns of undo records: the first encrypts, all decrypt.
    UNDO_KEYS = Setting[list[str]]([], keys, secret=True)
    # Days that no run touches a row that was restored; 0: the next one may.
    RESTORE_HOLD_DAYS = Setting(30, whole_number(0, 3650))
    # Days a monthly report is kept.
    REPORT_DAYS = Setting(90, whole_number(1, 3650))
    # Days an entry of the log of occurrences is kept after its session; edits need those of today.
    OCCURRENCE_LOG_DAYS = Setting(730, whole_number(7, 3650))

    # A report recommends something when …
    # fewer percent of the holders than this have an active session,
    RECOMMEND_UTILISATION_PERCENT = Setting(50, whole_number(0, 100))
    # fewer percent of the sessions are valid and not expired,
    RECOMMEND_HEALTH_PERCENT = Setting(70, whole_number(0, 100))
    # fewer percent of the active sessions were used in the last 7 days,
    RECOMMEND_USED_PERCENT = Setting(30, whole_number(0, 100))
    # all active sessions of more holders than this expire within 7 days,
    RECOMMEND_EXPIRING_HOLDERS = Setting(10, whole_number(0, 10**9))
    # more payloads than this are old enough to be compressed and are not,
    RECOMMEND_UNCOMPRESSED = Setting(1000, whole_number(0, 10**9))
    # those that are compressed take more percent of their decoded size,
    RECOMMEND_STORAGE_PERCENT = Setting(60, whole_number(1, 1000))
    # more payloads than this are invalid,
    RECOMMEND_INVALID = Setting(0, whole_number(0, 10**9))
    # more sessions are due than are created in so many days, and fewer are removed than created,
    RECOMMEND_BACKLOG_DAYS = Setting(2, whole_number(1, 365))
    # no index leads to the rows of a policy, or nothing uses it, and there are so many sessions,
    RECOMMEND_INDEX_SESSIONS = Setting(10_000, whole_number(0, 10**9))
    # a day is so many times the median absolute deviation away from what is usual.
    RECOMMEND_ANOMALY_MAD = Setting(7, whole_number(1, 1000))

    # Milliseconds that a batch, which is one transaction, shall take to the end of its commit. SQLite, whose
    # writers wait for the whole file by polling, takes at least 50.
    BATCH_MS = Setting(25, whole_number(1, 10_000))
    # The largest number of rows in one batch, however fast they go.
    BATCH_SIZE = Setting[int | None](None, whole_number(1, 10_000, none="to let the time alone decide"))
    # How runs move through a table: "auto", or always by "keyset" or along the "heap" where that is possible.
    WALK = Setting("auto", one_of("auto", "keyset", "heap"))
    # Milliseconds to pause after each batch; SQLite always pauses at least 25.
    PAUSE_MS = Setting(0, whole_number(0, 60_000))
    # Percent of a batch's own time to pause after it, if that is longer.
    PAUSE_PERCENT = Setting(0, whole_number(0, 1000))
    # Seconds after which the lease of a dead process ends.
    LEASE_SECONDS = Setting(60, whole_number(5, 3600))
    # Milliseconds a batch waits for a lock before it tries something smaller (PostgreSQL).
    LOCK_TIMEOUT_MS = Setting(15, whole_number(1, 60_000))
    # Milliseconds, at the end of a job, to wait for all rows that somebody else had locked.
    LOCKED_WAIT_MS = Setting(2000, whole_number(0, 600_000))
    # Milliseconds one statement of a batch may take.
    STATEMENT_TIMEOUT_MS = Setting(20_000, whole_number(100, 3_600_000))
    # Milliseconds one count of the statistics may take before it is shown as unknown.
    STATS_TIMEOUT_MS = Setting(5000, whole_number(100, 3_600_000))
    # How often a batch is tried again after a deadlock, a lock time-out or a lost connection.
    RETRIES = Setting(5, whole_number(0, 100))

    # A job waits while one of these is exceeded (PostgreSQL).
    # Milliseconds that a connected standby or subscriber is behind.
    MAX_REPLICA_LAG_MS = Setting[int | None](None, whole_number(1, 86_400_000, none=UNLIMITED))
    # Seconds that the longest transaction in the database is open, prepared ones included.
    MAX_TRANSACTION_SECONDS = Setting[int | None](None, whole_number(1, 604_800, none=UNLIMITED))
    # Sessions of the database that wait for a lock, other than an advisory one.
    MAX_WAITERS = Setting[int | None](None, whole_number(0, 10_000, none=UNLIMITED))
    # Megabytes of write-ahead log that the whole server writes in a minute.
    MAX_WAL_MB_PER_MINUTE = Setting[int | None](None, whole_number(1, 10_000_000, none=UNLIMITED))
    # Dead rows in the table of the job.
    MAX_DEAD_TUPLES = Setting[int | None](None, whole_number(1, 10**12, none=UNLIMITED))


conf = Conf()
SETTINGS: dict[str, Setting[Any]] = {
    name: setting for name, setting in vars(Conf).items() if isinstance(setting, Setting)
}
