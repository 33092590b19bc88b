"""Which cron expression starts a job, and which jobs share a timer."""

import pytest

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies import Aged, Delete, Policy
from session_cleanup.policies.policy import GROUPS
from session_cleanup.scheduling.schedules import schedule_of, timers


def job(name="carts", **values):
    return Policy(name=name, model="shop.Cart", select=Aged("updated_at"), action=Delete(), **values)


@pytest.mark.parametrize(
    ("schedules", "cron", "expected"),
    [
        ({}, None, GROUPS["weekly"]),
        ({}, "1 1 * * *", "1 1 * * *"),
        ({"weekly": "2 2 * * *"}, "1 1 * * *", "2 2 * * *"),
        ({"weekly": "2 2 * * *", "carts": "3 3 * * *"}, "1 1 * * *", "3 3 * * *"),
        ({"daily": "2 2 * * *"}, None, GROUPS["weekly"]),
        ({"carts": " 0  3 * *\n sun "}, None, "0 3 * * SUN"),
    ],
)
def test_the_projects_word_for_the_job_comes_first(settings, schedules, cron, expected):
    settings.SESSION_CLEANUP_SCHEDULES = schedules

    assert schedule_of(job(group="weekly", cron=cron)) == expected


def test_a_bad_expression_is_refused_where_it_stands(settings):
    settings.SESSION_CLEANUP_SCHEDULES = {"daily": "25 * * *"}

    with pytest.raises(ConfigurationError, match=r"SESSION_CLEANUP_SCHEDULES\['daily'\]: .*five"):
        schedule_of(job())


def test_jobs_of_one_expression_share_a_timer_in_their_order():
    chosen = [job("b"), job("late", cron="0 4 * * *"), job("a", cron="0  2 * * *")]

    found = {cron: [each.name for each in jobs] for cron, jobs in timers(chosen).items()}

    assert found == {"0 2 * * *": ["b", "a"], "0 4 * * *": ["late"]}


def test_the_presets_run_when_their_documentation_says(settings):
    settings.SESSION_CLEANUP_PRESETS = ["presentations", "collaborative", "after_hours"]

    found = {each.name: cron for cron, jobs in timers().items() for each in jobs}

    assert found["presentations-blank"] == "0 */6 * * *"
    assert found["collaborative-expired"] == "0 2 * * *"
    assert found["after-hours-close"] == found["after-hours-profiles"] == "0 4 * * *"
    assert found["housekeeping-history"] == "30 5 * * *"
