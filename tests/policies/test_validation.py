"""What is wrong with a policy and the model it names: each check id is provoked, alone."""

import pytest
from django.db.models import F, Q

from session_cleanup.policies import RUN_CLOCK, Aged, Close, Deactivate, Orphaned, Update
from tests.policies.checking import found, message_of, policy


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
