"""Settings: their defaults, their ranges, and that they are read at each access."""

import pytest

from session_cleanup.conf import SETTINGS, conf
from session_cleanup.exceptions import ConfigurationError

# name -> default, lowest, highest: SYSTEMS.md, and for the engine's own numbers what conf.py says.
NUMBERS = {
    "JITTER_SECONDS": (30, 0, 3600),
    "STALE_FACTOR": (2, 1, 100),
    "CRON_SECONDS": (25, 1, 3600),
    "CRON_FAILURES_PER_MINUTE": (20, 1, 10_000),
    "HOURS": (24, 1, 168),
    "INACTIVITY_DAYS": (7, 1, 3650),
    "COMPRESS_DAYS": (7, 1, 3650),
    "DECLINE_DAYS": (7, 1, 3650),
    "ENDED_DAYS": (None, 1, 3650),
    "EXPIRY_DAYS": (30, 1, 365),
    "MAX_PER_HOLDER": (10, 1, 10_000),
    "HORIZON_DAYS": (30, 1, 366),
    "ARCHIVE_DAYS": (90, 1, 3650),
    "HISTORY_DAYS": (90, 1, 3650),
    "UNDO_DAYS": (30, 0, 3650),
    "RESTORE_HOLD_DAYS": (30, 0, 3650),
    "REPORT_DAYS": (90, 1, 3650),
    "OCCURRENCE_LOG_DAYS": (730, 7, 3650),
    "RECOMMEND_UTILISATION_PERCENT": (50, 0, 100),
    "RECOMMEND_HEALTH_PERCENT": (70, 0, 100),
    "RECOMMEND_USED_PERCENT": (30, 0, 100),
    "RECOMMEND_EXPIRING_HOLDERS": (10, 0, 10**9),
    "RECOMMEND_UNCOMPRESSED": (1000, 0, 10**9),
    "RECOMMEND_STORAGE_PERCENT": (60, 1, 1000),
    "RECOMMEND_INVALID": (0, 0, 10**9),
    "RECOMMEND_BACKLOG_DAYS": (2, 1, 365),
    "RECOMMEND_INDEX_SESSIONS": (10_000, 0, 10**9),
    "RECOMMEND_ANOMALY_MAD": (7, 1, 1000),
    "BATCH_MS": (25, 1, 10_000),
    "BATCH_SIZE": (None, 1, 10_000),
    "PAUSE_MS": (0, 0, 60_000),
    "PAUSE_PERCENT": (0, 0, 1000),
    "LEASE_SECONDS": (60, 5, 3600),
    "LOCK_TIMEOUT_MS": (15, 1, 60_000),
    "LOCKED_WAIT_MS": (2000, 0, 600_000),
    "STATEMENT_TIMEOUT_MS": (20_000, 100, 3_600_000),
    "STATS_TIMEOUT_MS": (5000, 100, 3_600_000),
    "RETRIES": (5, 0, 100),
    "MAX_REPLICA_LAG_MS": (None, 1, 86_400_000),
    "MAX_TRANSACTION_SECONDS": (None, 1, 604_800),
    "MAX_WAITERS": (None, 0, 10_000),
    "MAX_WAL_MB_PER_MINUTE": (None, 1, 10_000_000),
    "MAX_DEAD_TUPLES": (None, 1, 10**12),
}
OTHERS = {
    "ENABLED": True,
    "PRESETS": [],
    "SCHEDULES": {},
    "ADAPTIVE": {},
    "CRON_SECRETS": [],
    "CRON_ALLOW_GET": False,
    "WALK": "auto",
    "KEEP_DAYS": {},
    "HOLDER_MODEL": None,
    "UNDO_KEYS": [],
    "COMPRESS_CODEC": "zlib",
}


def test_every_setting_is_looked_at_here():
    assert set(SETTINGS) == set(NUMBERS) | set(OTHERS)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_default(settings, name):
    if hasattr(settings, f"SESSION_CLEANUP_{name}"):
        delattr(settings, f"SESSION_CLEANUP_{name}")

    assert getattr(conf, name) == (OTHERS[name] if name in OTHERS else NUMBERS[name][0])


@pytest.mark.parametrize(("name", "numbers"), NUMBERS.items())
def test_the_ends_of_a_range_are_accepted(settings, name, numbers):
    for value in numbers[1:]:
        setattr(settings, f"SESSION_CLEANUP_{name}", value)

        assert getattr(conf, name) == value


@pytest.mark.parametrize(("name", "numbers"), NUMBERS.items())
def test_what_is_no_whole_number_in_range_is_refused(settings, name, numbers):
    default, low, high = numbers
    wrong = [low - 1, high + 1, -1, 10**30, float(high), str(low), True, False, [low], b"1"]
    if default is not None:
        wrong.append(None)
    for value in wrong:
        setattr(settings, f"SESSION_CLEANUP_{name}", value)

        with pytest.raises(ConfigurationError) as refused:
            getattr(conf, name)

        message = str(refused.value)
        assert message.startswith(f"SESSION_CLEANUP_{name} is {value!r}, but must be a whole number")
        assert f"from {low} to {high}" in message
        assert message.endswith(f"Its default is {default!r}.")


def test_none_keeps_ended_sessions_for_ever_and_the_refusal_says_so(settings):
    settings.SESSION_CLEANUP_ENDED_DAYS = None
    assert conf.ENDED_DAYS is None

    settings.SESSION_CLEANUP_ENDED_DAYS = 0
    with pytest.raises(ConfigurationError, match="or None to keep them for ever"):
        _ = conf.ENDED_DAYS


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("ENABLED", [0, 1, "true", "False", None, []]),
        ("PRESETS", ["presentations", None, [1], {"presentations"}, {"presentations": True}]),
        ("KEEP_DAYS", [[], None, 7, {"axes": 0}, {"axes": 3651}, {"axes": "7"}, {"axes": True}, {7: 7}]),
        (
            "ADAPTIVE",
            [[], None, {"a": 5}, {"a": (5, 60)}, {"a": (60, 5, 1)}, {"a": (0, 5, 1)}, {7: (1, 5, 1)}],
        ),
        ("ADAPTIVE", [{"a": (5, 60, 0)}, {"a": (5, 44_641, 1)}, {"a": (True, 5, 1)}, {"a": (5.0, 60, 1)}]),
        ("CRON_ALLOW_GET", [0, "true", None]),
        ("SCHEDULES", [[], None, "0 2 * * *", {"daily": 1}, {1: "0 2 * * *"}]),
    ],
)
def test_another_type_is_refused(settings, name, wrong):
    for value in wrong:
        setattr(settings, f"SESSION_CLEANUP_{name}", value)

        with pytest.raises(ConfigurationError, match=f"SESSION_CLEANUP_{name} is .* but must be"):
            getattr(conf, name)


@pytest.mark.parametrize(
    "wrong", [None, "x" * 16, [1], ["x" * 15], ["x" * 16, ""], [" " * 16], ["x" * 16 + "\n"], {"x" * 16}]
)
def test_what_is_no_secret_is_refused_and_not_shown(settings, wrong):
    settings.SESSION_CLEANUP_CRON_SECRETS = wrong

    with pytest.raises(ConfigurationError, match="16 characters or more") as refused:
        _ = conf.CRON_SECRETS

    assert "xxx" not in str(refused.value)


def test_a_setting_is_read_at_each_access(settings):
    settings.SESSION_CLEANUP_HOURS = 3
    assert conf.HOURS == 3

    settings.SESSION_CLEANUP_HOURS = 4
    assert conf.HOURS == 4


def test_presets_may_be_a_tuple(settings):
    settings.SESSION_CLEANUP_PRESETS = ("presentations",)

    assert list(conf.PRESETS) == ["presentations"]
