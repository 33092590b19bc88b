"""System checks: each id is provoked, alone, and always with a hint."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.db import connections
from django.db.models import F, Q
from django.db.models.signals import pre_delete

from session_cleanup import checks
from session_cleanup.checks import check_configuration, check_connections
from session_cleanup.policies import (
    RUN_CLOCK,
    Aged,
    Close,
    Deactivate,
    Delete,
    Orphaned,
    Policy,
    Update,
    registry,
    validation,
)
from tests.testapp.models import Ticket


def found(check=check_configuration):
    messages = check(None)
    assert all(message.hint for message in messages)
    for message in messages:
        severity = "E" if message.is_serious() else "W"
        assert message.id.startswith(f"session_cleanup.{severity}")
    return [message.id.removeprefix("session_cleanup.") for message in messages]


def message_of(check=check_configuration):
    [message] = check(None)
    return message.msg


def policy(**values):
    """A policy that nothing is wrong with, but for `values`."""
    good = {"name": "job", "model": "testapp.Book", "select": Aged("read_at"), "action": Delete()}
    return Policy(**{**good, **values})


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


def test_e001_a_pause_that_outlasts_the_lease(settings):
    settings.SESSION_CLEANUP_LEASE_SECONDS = 6
    settings.SESSION_CLEANUP_PAUSE_MS = 2000
    assert found() == []

    settings.SESSION_CLEANUP_PAUSE_MS = 2001
    assert found() == ["E001"]


def test_e002_an_unknown_setting(settings):
    settings.SESSION_CLEANUP_HUORS = 3

    assert found() == ["E002"]
    assert "Did you mean 'SESSION_CLEANUP_HOURS'?" in message_of()


def test_e003_an_unknown_preset(settings):
    settings.SESSION_CLEANUP_PRESETS = ["colaborative"]

    assert found() == ["E003"]
    assert "Did you mean 'collaborative'?" in message_of()


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


@pytest.mark.parametrize("model", ["testapp.Bok", "testap.Book", "nowhere.Nothing"])
def test_e007_an_unknown_model(declare, model):
    declare(policy(model=model))

    assert found() == ["E007"]
    assert model.startswith("nowhere") or "Did you mean 'testapp.Book'?" in message_of()


def test_e008_multi_table_inheritance(declare):
    declare(policy(model="testapp.Truck", select=Aged("made_at")))

    assert found() == ["E008"]
    assert "testapp.Vehicle" in message_of()


def test_e009_an_unknown_database(declare):
    declare(policy(database="othr"))

    assert found() == ["E009"]
    assert "Did you mean 'other'?" in message_of()


@pytest.mark.parametrize(
    "values",
    [
        {"select": Aged("no_such_clock")},
        {"where": Q(no_such_field=1)},
        {"where": Q(author__no_such_field=1)},
        {"where": Q(title__no_such_lookup=1)},
        {"where": Q(is_active="perhaps")},
        {"columns": ("no_such_column",)},
        {"select": Orphaned("no_such_reference")},
        {"select": Orphaned("title")},
        {"select": Orphaned("title", model="testapp.Nothing")},
        {"action": Update({"no_such_field": 1})},
        {"action": Update({"id": None})},
        {"action": Update({"tags": 1})},
        {"action": Update({"title": None})},
        {"action": Update({"closed_at": "yesterday"})},
        {"action": Close(closed_at=F("no_such_field"))},
        {"action": Deactivate("is_activ")},
        {"action": Deactivate(related={"no_such_relation": {"is_open": False}})},
        {"action": Deactivate(related={"author": {"is_active": False}})},
        {"action": Deactivate(related={"tags": {"name": ""}})},
        {"action": Deactivate(related={"chapters": {"no_such_field": False}})},
    ],
)
def test_e010_a_field_or_relation_that_does_not_fit(declare, values):
    declare(policy(**{"where": Q(is_active=True), **values}))

    assert found() == ["E010"]


@pytest.mark.parametrize("clock", ["title", "is_active", "author", "id"])
def test_e011_a_clock_that_is_no_date_or_time(declare, clock):
    declare(policy(select=Aged(clock)))

    assert found() == ["E011"]


@pytest.mark.parametrize(
    "values",
    [
        {"action": Deactivate()},
        {"action": Deactivate(), "where": Q(is_active=True) | Q(title="x")},
        {"action": Deactivate(), "where": ~Q(is_active=False)},
        {"action": Update({"title": "x"}), "where": Q(title="x")},
        {"action": Close(closed_at=F("closed_at")), "where": Q(closed_at__isnull=True)},
    ],
)
def test_e012_an_update_that_leaves_its_condition_true(declare, values):
    declare(policy(**values))

    assert found() == ["E012"]


@pytest.mark.parametrize(
    "values",
    [
        {"action": Deactivate(), "where": Q(is_active=True)},
        {"action": Close(closed_at=F("read_at")), "where": Q(closed_at__isnull=True)},
        {"action": Close(closed_at=RUN_CLOCK), "where": Q(closed_at=None)},
        {"action": Update({"read_at": RUN_CLOCK})},
        {"action": Update({"title": "done"}), "where": Q(title__in=["new", "old"])},
    ],
)
def test_an_update_that_makes_its_condition_false_is_fine(declare, values):
    declare(policy(**values))

    assert found() == []


def test_w001_no_index_leads_to_the_clock(declare):
    declare(policy(select=Aged("closed_at")))

    assert found() == ["W001"]


def test_w002_a_preview_that_may_differ(declare):
    """What a receiver does may concern its own job and those after it."""

    def receiver(**kwargs):
        pass

    declare(policy(model="testapp.Ticket", select=Aged("day", older_than=timedelta(days=3))))
    assert found() == []

    pre_delete.connect(receiver, sender=Ticket)
    try:
        assert found() == ["W002", "W002"]
        own, later = check_configuration(None)
    finally:
        pre_delete.disconnect(receiver, sender=Ticket)
    assert "'job'" in own.msg
    assert "'housekeeping-history'" in later.msg


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


def test_every_check_id_has_a_test_here():
    said = Path(checks.__file__).read_text() + Path(validation.__file__).read_text()
    provoked = re.findall(r"^def test_([ew]\d{3})_", Path(__file__).read_text(), re.MULTILINE)

    assert {name.upper() for name in provoked} == set(re.findall(r'"([EW]\d{3})"', said))


def test_several_faults_are_reported_together(declare, settings):
    settings.SESSION_CLEANUP_SCHEDULES = {"dayly": "0 2 * * *"}
    declare(policy(name="one", model="testapp.Bok"), policy(name="two", select=Aged("title")))

    assert found() == ["E006", "E007", "E011"]
