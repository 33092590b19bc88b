"""A policy cannot be built wrong; each refusal says what, which value, and the cure."""

import dataclasses
from datetime import timedelta

import pytest
from django.db.models import Q

from session_cleanup.exceptions import ConfigurationError, PolicyError
from session_cleanup.policies import Aged, Deactivate, Delete, Orphaned, Policy

GOOD = {"name": "old-carts", "model": "shop.Cart", "select": Aged("updated_at"), "action": Delete()}
NOT_A_NAME = "small letters, digits and hyphens, at most 64, such as 'old-carts'"
FEBRUARY_30 = "0 0 30 2 *"


def test_a_policy_needs_four_things_and_runs_daily():
    policy = Policy(**GOOD)

    assert (policy.group, policy.cron, policy.where, policy.database) == ("daily", None, Q(), None)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        *(
            ("name", value, NOT_A_NAME)
            for value in ("", "Old", "old_carts", "old carts", "-old", "old-", "o--c", "x" * 65, 7)
        ),
        ("name", "old-carts\n", NOT_A_NAME),
        ("name", "käse", NOT_A_NAME),
        ("model", "Cart", "model is 'Cart'. Name it by its label, \"app.Model\""),
        ("model", "a.b.Cart", 'by its label, "app.Model"'),
        ("model", Policy, 'by its label, "app.Model"'),
        ("select", "updated_at", "select is 'updated_at'. Give a selection, such as Aged("),
        ("select", Aged, "Give a selection"),
        ("action", "delete", "action is 'delete'. Give an action, such as Delete()"),
        ("action", Delete, "Give an action"),
        ("where", {"is_active": True}, "Give a Q object, such as Q(is_active=True)"),
        ("where", None, "Give a Q object"),
        ("group", "dayly", "group is 'dayly'. Choose one of frequent, hourly, daily, weekly"),
        ("group", None, "Choose one of frequent"),
        ("cron", "0 2 * *", "'0 2 * *'"),
        ("cron", "", "''"),
        ("cron", FEBRUARY_30, FEBRUARY_30),
        ("age_option", "hours", "age_option is 'hours'. Choose 'max-age' (hours) or 'days'"),
        ("age_option", "max_age", "Choose 'max-age'"),
    ],
)
def test_what_is_refused(name, value, said):
    with pytest.raises(PolicyError) as refused:
        Policy(**{**GOOD, name: value})

    assert str(refused.value).startswith("Policy ")
    assert said in str(refused.value)


@pytest.mark.parametrize("values", [{"age_option": "days"}, {"by_age": True}])
def test_an_age_needs_a_selection_that_has_one(values):
    with pytest.raises(PolicyError, match=r"need select=Aged\("):
        Policy(**{**GOOD, **values, "select": Orphaned("session")})


@pytest.mark.parametrize("name", ["a", "0", "a-b", "x" * 64, "after-hours-2"])
def test_names_that_are_fine(name):
    assert Policy(**{**GOOD, "name": name}).name == name


def test_a_refusal_is_a_configuration_error_so_that_a_run_ends_with_status_2():
    assert issubclass(PolicyError, ConfigurationError)


def test_a_policy_cannot_be_changed():
    policy = Policy(**GOOD)

    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.name = "other"


def test_declaring_a_policy_needs_no_model_and_no_database():
    assert Policy(**{**GOOD, "model": "nowhere.Nothing"}).model == "nowhere.Nothing"


def test_another_age_is_another_policy():
    policy = Policy(**GOOD)

    older = policy.aged(timedelta(days=3))

    assert (policy.age, older.age) == (timedelta(0), timedelta(days=3))


@pytest.mark.parametrize(
    ("values", "counter"),
    [
        ({}, "old_carts_deleted"),
        ({"action": Deactivate()}, "old_carts_deactivated"),
        ({"counter": "carts_gone"}, "carts_gone"),
    ],
)
def test_the_counter_of_the_log_line(values, counter):
    assert Policy(**{**GOOD, **values}).log_counter == counter
