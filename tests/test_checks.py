"""System checks: each id is provoked, alone, and always with a hint."""

import re
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.db import connections
from django.db.models import Q
from django.db.models.signals import pre_delete

from session_cleanup import checks
from session_cleanup.checks import check_configuration, check_connections
from session_cleanup.policies import (
    Aged,
    Archive,
    Update,
    fit,
    registry,
    validation,
)
from session_cleanup.policies.actions import ARCHIVE
from session_cleanup.policies.presets import HOUSEKEEPING
from tests.policies import test_validation
from tests.policies.checking import found, message_of, policy
from tests.testapp.models import Ticket

KEY = "b2Zmc2V0LWtleS1mb3ItdGVzdHMtb25seS0wMDAwMDE="


def test_nothing_is_wrong_with_the_shipped_presets():
    assert list(run_checks(tags=["session_cleanup"])) == []


@pytest.mark.django_db(databases="__all__")  # a check of Django's own asks the databases
def test_the_checks_run_with_all_others():
    assert not [message for message in run_checks() if "session_cleanup" in (message.id or "")]


def test_nothing_is_wrong_with_an_ordinary_policy(declare):
    declare(policy(model="testapp.Comment", select=Aged("made_at"), action=Update({"made_at": None})))

    assert found() == []


@pytest.mark.parametrize("value", [0, 169, True, "24", None])
def test_e001_a_setting_out_of_range(settings, value):
    settings.SESSION_CLEANUP_HOURS = value

    assert found() == ["E001"]


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ({"PAUSE_MS": 60_000}, []),  # the lease is renewed in a pause
        ({"STATEMENT_TIMEOUT_MS": 6000}, []),
        ({"STATEMENT_TIMEOUT_MS": 6001}, ["E001"]),  # longer than the lease
    ],
)
def test_e001_what_outlasts_the_lease(settings, values, ids):
    short = {"LEASE_SECONDS": 6, "STATEMENT_TIMEOUT_MS": 100, **values}
    for name, value in short.items():
        setattr(settings, f"SESSION_CLEANUP_{name}", value)

    assert found() == ids


def test_e002_an_unknown_setting(settings):
    settings.SESSION_CLEANUP_HUORS = 3

    assert found() == ["E002"]
    assert "Did you mean 'SESSION_CLEANUP_HOURS'?" in message_of()


def test_e003_an_unknown_preset(settings):
    settings.SESSION_CLEANUP_PRESETS = ["colaborative"]

    assert found() == ["E003"]
    assert "Did you mean 'collaborative'?" in message_of()


def test_e003_a_preset_for_a_library_that_is_not_installed(settings):
    settings.SESSION_CLEANUP_PRESETS = ["django-sessions", "axes"]

    assert found() == ["E003"]
    assert "names 'axes', but 'axes' is not in INSTALLED_APPS. Add it there, or" in message_of()


def test_e003_a_preset_that_cannot_know_what_is_over(settings):
    settings.SESSION_CLEANUP_PRESETS = ["django-sessions"]
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.file"

    assert found() == ["E003"]
    assert "keeps no sessions in a table" in message_of()


def test_w005_the_model_of_a_library_without_an_index(settings):
    """The library would have to declare it; a project can only put it into the database."""
    settings.SESSION_CLEANUP_PRESETS = ["admin-log"]

    assert found() == ["W005"]
    [message] = check_configuration(None)
    assert "`cleanup_doctor admin-log-entries` prints" in message.hint


@pytest.mark.parametrize(
    ("days", "ids"),
    [
        ({"admin-log": 7, "admin-log-entries": 8, "axes": 9}, ["W005"]),
        ({"admin-logs": 7}, ["E015", "W005"]),
        ({"django-sessions": 7}, ["E015", "W005"]),  # they say themselves when they expire
        ({"axes-access-logs": 7}, ["E015", "W005"]),  # whose preset is off
    ],
)
def test_e015_days_for_what_is_not_kept_for_days(settings, days, ids):
    settings.SESSION_CLEANUP_PRESETS = ["admin-log", "django-sessions"]
    settings.SESSION_CLEANUP_KEEP_DAYS = days

    assert found() == ids


def test_e004_a_policy_module_that_raised(monkeypatch):
    monkeypatch.setitem(registry.failures, "shop.cleanup_policies", NameError("no such name"))

    assert found() == ["E004"]
    assert "shop.cleanup_policies" in message_of()
    assert "NameError: no such name" in message_of()


def test_e005_a_name_that_is_used_twice(declare):
    declare(*[policy(model="testapp.Bookmark", select=Aged("placed_at"))] * 2)

    assert found() == ["E005"]


@pytest.mark.parametrize("name", ["daily", "browser", "recurring", "presentations"])
def test_e005_a_name_that_is_reserved(declare, name):
    declare(policy(model="testapp.Bookmark", select=Aged("placed_at"), name=name))

    assert found() == ["E005"]


@pytest.mark.parametrize(
    ("schedules", "said"),
    [
        ({"dayly": "0 2 * * *"}, "Did you mean 'daily'?"),
        ({"daily": "0 2 * *"}, "SESSION_CLEANUP_SCHEDULES['daily']: Cron expression '0 2 * *'"),
        ({"after-hours-close": "61 2 * * *"}, "Cron expression '61 2 * * *'"),
        ({"daily": "0 2 30 2 *"}, "Cron expression '0 2 30 2 *'"),
        ({"daily": "@daily"}, "Cron expression '@daily'"),
    ],
)
def test_e006_a_wrong_schedule(settings, schedules, said):
    settings.SESSION_CLEANUP_SCHEDULES = schedules

    assert found() == ["E006"]
    assert said in message_of()


@pytest.mark.parametrize("name", ["presentations-blnk", "daily"])
def test_e006_a_job_that_could_be_moved_is_none(settings, name):
    settings.SESSION_CLEANUP_ADAPTIVE = {name: (5, 60, 100)}

    assert found() == ["E006"]
    assert f"names {name!r}, which is no job." in message_of()


def test_w002_a_preview_that_may_differ(declare):
    """What a receiver does may concern its own job and those after it."""

    def receiver(**kwargs):
        pass

    declare(policy(model="testapp.Ticket", select=Aged("day", older_than=timedelta(days=3))))
    assert found() == []

    pre_delete.connect(receiver, sender=Ticket)
    try:
        own, *later = check_configuration(None)
    finally:
        pre_delete.disconnect(receiver, sender=Ticket)
    assert "'job'" in own.msg
    assert len(later) == len(HOUSEKEEPING())
    assert {each.id for each in (own, *later)} == {"session_cleanup.W002"}
    assert "'housekeeping-history'" in later[0].msg


def test_w002_a_condition_that_reads_what_an_earlier_job_writes(declare):
    declare(
        policy(name="first"),
        policy(
            name="second",
            model="testapp.Bookmark",
            select=Aged("placed_at"),
            where=Q(book__is_active=True),
        ),
    )

    assert found() == ["W002"]
    assert "testapp.Book, which the earlier job first changes" in message_of()


def test_e024_receivers_that_would_run_twice(declare, settings):
    def receiver(**kwargs):
        pass

    settings.STORAGES = {**settings.STORAGES, ARCHIVE: {"BACKEND": "a.storage"}}
    archived = policy(model="testapp.Ticket", select=Aged("day"), action=Archive(to="storage"))
    declare(archived)
    assert found() == []

    pre_delete.connect(receiver, sender=Ticket)
    try:
        assert "E024" in found()
        declare(replace(archived, action=Archive()))
        assert set(found()) == {"W002"}
    finally:
        pre_delete.disconnect(receiver, sender=Ticket)


@pytest.mark.parametrize("keys", [["short"], [KEY, "not-a-key"]])
def test_e021_a_key_that_is_none_is_not_shown(settings, keys):
    settings.SESSION_CLEANUP_UNDO_KEYS = keys

    assert found() == ["E021"]
    assert f"Key {len(keys)} of SESSION_CLEANUP_UNDO_KEYS" in message_of()
    assert not any(key in message_of() for key in keys)


def test_e021_keys_without_the_package(settings, monkeypatch):
    settings.SESSION_CLEANUP_UNDO_KEYS = [KEY.replace("Z", "Y")]
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)

    assert found() == ["E021"]
    assert "Install session-cleanup[undo-keys]" in message_of()


def test_e001_keys_that_are_no_list_are_not_shown(settings):
    settings.SESSION_CLEANUP_UNDO_KEYS = KEY

    assert found() == ["E001"]
    assert KEY not in message_of()


@pytest.fixture
def options(monkeypatch):
    """The settings of the default connection, to be changed for one test."""
    changed = {**connections["default"].settings_dict, "OPTIONS": {}}
    monkeypatch.setattr(connections["default"], "settings_dict", changed)
    return changed


def test_nothing_is_wrong_with_ordinary_connections(options):
    assert found(check_connections) == []


@pytest.mark.parametrize("vendor", ["mysql", "oracle"])
def test_w003_a_database_in_which_no_policy_can_run(monkeypatch, vendor):
    monkeypatch.setattr(connections["default"], "vendor", vendor)

    assert found(check_connections) == ["W003"]


def test_e013_a_connection_without_autocommit(options):
    options["AUTOCOMMIT"] = False

    assert found(check_connections) == ["E013"]


@pytest.mark.parametrize(("timeout", "ids"), [(0, ["W004"]), (0.9, ["W004"]), (1, []), (5, [])])
def test_w004_an_sqlite_that_gives_up_at_once(monkeypatch, options, timeout, ids):
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")
    options["OPTIONS"] = {"timeout": timeout}

    assert found(check_connections) == ids


def test_every_check_id_has_a_test():
    said = (
        Path(checks.__file__).read_text()
        + Path(validation.__file__).read_text()
        + Path(fit.__file__).read_text()
    )
    tested = Path(__file__).read_text() + Path(test_validation.__file__).read_text()
    provoked = re.findall(r"^def test_([ew]\d{3})_", tested, re.MULTILINE)

    assert {name.upper() for name in provoked} == set(re.findall(r'"([EW]\d{3})"', said))


def test_several_faults_are_reported_together(declare, settings):
    settings.SESSION_CLEANUP_SCHEDULES = {"dayly": "0 2 * * *"}
    declare(policy(name="one", model="testapp.Bok"), policy(name="two", select=Aged("title")))

    assert found() == ["E006", "E007", "E011"]
