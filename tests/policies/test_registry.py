"""Which jobs a project has, in what order, and which of them a run takes."""

import sys

import pytest

from session_cleanup.exceptions import ConfigurationError, PolicyError
from session_cleanup.policies import Aged, Delete, Policy, register, registry
from session_cleanup.policies.policy import GROUPS
from session_cleanup.policies.presets import PRESETS, SYSTEMS
from tests.policies.checking import HOUSEKEEPING


def policy(name, **values):
    select = Aged("read_at")
    return Policy(name=name, model="testapp.Book", select=select, action=Delete(), **values)


def names(jobs):
    return [job.name for job in jobs]


@pytest.fixture
def project(declare):
    """Four jobs in four groups, registered in this order."""
    declare(
        policy("hours", group="hourly"),
        policy("days"),
        policy("weeks", group="weekly"),
        policy("months", group="monthly"),
    )


def test_presets_come_first_then_the_projects_own_then_housekeeping(declare, settings):
    declare(policy("own-b"), policy("own-a"))
    settings.SESSION_CLEANUP_PRESETS = ["collaborative", "presentations"]

    assert names(registry.jobs()) == [
        "collaborative-expired",
        "presentations-blank",
        "own-b",
        "own-a",
        *HOUSEKEEPING,
    ]


def test_presets_are_off_unless_they_are_named(declare):
    declare()

    assert names(registry.jobs()) == HOUSEKEEPING


def test_days_are_those_of_the_job_or_else_of_its_preset_or_else_a_default(declare, settings):
    declare()
    settings.SESSION_CLEANUP_PRESETS = ["admin-log"]
    ages = []
    for days in ({}, {"admin-log": 30}, {"admin-log": 30, "admin-log-entries": 60}):
        settings.SESSION_CLEANUP_KEEP_DAYS = days
        ages.append(registry.jobs()[0].age.days)

    assert ages == [365, 30, 60]


def test_no_preset_is_called_like_a_group_or_one_of_its_jobs():
    assert not set(PRESETS) & set(GROUPS)
    assert not {job.name for name in SYSTEMS for job in PRESETS[name]()} & registry.RESERVED


def test_a_run_takes_all_but_the_weekly_and_monthly_jobs(project):
    assert names(registry.select()) == ["hours", "days", *HOUSEKEEPING]


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        (["days"], ["days"]),
        (["months"], ["months"]),
        (["months", "hours", "hours"], ["hours", "months"]),
    ],
)
def test_jobs_are_taken_by_name_in_their_own_order(project, asked, taken):
    assert names(registry.select(asked)) == taken


@pytest.mark.parametrize(
    ("group", "taken"),
    [
        ("hourly", ["hours"]),
        ("daily", ["days", *HOUSEKEEPING]),
        ("weekly", ["weeks"]),
        ("monthly", ["months"]),
    ],
)
def test_jobs_are_taken_by_group(project, group, taken):
    assert names(registry.select(group=group)) == taken


def test_a_preset_stands_for_its_jobs():
    taken = names(registry.select(["after_hours", "presentations-blank"]))

    assert taken[0] == "presentations-blank"
    assert set(taken[1:]) == {name for name in taken if name.startswith("after-hours-")}
    assert len(taken) == 6


@pytest.mark.parametrize(
    ("asked", "group", "said"),
    [
        (["dayz"], None, "There is no job 'dayz'. Did you mean 'days'?"),
        (["xyz"], None, "There is no job 'xyz'. See cleanup_sessions --list."),
        (["weekly"], None, "'weekly' is a group, not a job. Say --type weekly."),
        (["presentations"], None, "The preset 'presentations' is off. Name it in"),
        ([], "houly", "There is no group 'houly'. Did you mean 'hourly'?"),
        ([], "frequent", "No job is in the group 'frequent'."),
    ],
)
def test_an_unknown_name_is_refused_with_a_hint(project, asked, group, said):
    with pytest.raises(ConfigurationError) as refused:
        registry.select(asked, group)

    assert said in str(refused.value)


def test_housekeeping_alone_is_nothing_registered(declare):
    declare()

    with pytest.raises(ConfigurationError, match=r"No job .*PRESETS.*cleanup_policies"):
        registry.select()

    assert names(registry.select(["housekeeping-history"])) == ["housekeeping-history"]


@pytest.mark.parametrize(
    ("second", "said"),
    [("first", "Two jobs are named 'first'"), ("hourly", "'hourly', which is a group")],
)
def test_a_name_that_means_two_things_is_refused(declare, second, said):
    declare(policy("first"), policy(second))

    with pytest.raises(ConfigurationError, match=said):
        registry.jobs()


def test_a_name_of_a_shipped_job_is_taken_only_while_its_preset_is_on(declare, settings):
    declare(policy("collaborative-expired"))
    assert "collaborative-expired" in names(registry.jobs())

    settings.SESSION_CLEANUP_PRESETS = ["collaborative"]
    with pytest.raises(ConfigurationError, match="Two jobs are named 'collaborative-expired'"):
        registry.jobs()


@pytest.mark.parametrize("wrong", [Policy, "days", None, [policy("a")]])
def test_only_policies_can_be_registered(declare, wrong):
    declare()

    with pytest.raises(PolicyError, match="Give it Policy objects"):
        register(wrong)


def test_register_takes_several(declare):
    declare()
    register(policy("a"), policy("b"))

    assert names(registry.jobs()) == ["a", "b", *HOUSEKEEPING]


@pytest.fixture
def module(tmp_path, monkeypatch, declare):
    """module(text): tests.testapp has a cleanup_policies module with this text, for one test."""
    import tests.testapp

    declare()
    monkeypatch.setattr(tests.testapp, "__path__", [*tests.testapp.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "failures", {})
    name = "tests.testapp.cleanup_policies"

    def write(text):
        (tmp_path / "cleanup_policies.py").write_text(text)

    yield write
    sys.modules.pop(name, None)
    if hasattr(tests.testapp, "cleanup_policies"):
        del tests.testapp.cleanup_policies


DECLARES = """
from session_cleanup.policies import Aged, Delete, Policy, register
register(Policy(name="found", model="testapp.Book", select=Aged("read_at"), action=Delete()))
"""


def test_a_module_named_cleanup_policies_is_found_in_every_installed_app(module):
    module(DECLARES)

    registry.autodiscover()

    assert names(registry.jobs()) == ["found", *HOUSEKEEPING]
    assert registry.failures == {}


def test_a_module_that_is_found_twice_declares_once(module):
    module(DECLARES)

    registry.autodiscover()
    registry.autodiscover()

    assert names(registry.jobs()) == ["found", *HOUSEKEEPING]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def", "SyntaxError"),
        ("from session_cleanup.policies import Aged; Aged('x', 3)", "PolicyError"),
    ],
)
def test_a_module_that_raises_refuses_every_run_and_lets_the_site_start(module, text, error):
    module(DECLARES + text)

    registry.autodiscover()  # AppConfig.ready: nothing is raised

    assert list(registry.failures) == ["tests.testapp.cleanup_policies"]
    with pytest.raises(ConfigurationError) as refused:
        registry.jobs()
    assert "tests.testapp.cleanup_policies could not be imported" in str(refused.value)
    assert error in str(refused.value)
    with pytest.raises(ConfigurationError):
        registry.select(["housekeeping-history"])
