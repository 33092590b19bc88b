"""Promise 4: small steps, smaller ones in trouble, and a rest for those who wait."""

import statistics
import time
from itertools import pairwise
from random import Random

import pytest
from django.db import OperationalError, connection

from session_cleanup.engine import drain, ladder
from session_cleanup.engine.acting import Acting
from session_cleanup.engine.batches import Batches
from session_cleanup.engine.pacing import EndState, Pace, Size
from session_cleanup.engine.pressure import Pressure
from session_cleanup.models import Claim, Session
from session_cleanup.policies.registry import jobs
from tests.factories import DAY, NOW, SECOND, AfterHoursFactory, SessionFactory

JOB = "collaborative-expired"


def pace(**options):
    given = {
        "stopped": lambda: False,
        "deadline": None,
        "max_rows": None,
        "max_size": 8,
        "sqlite": False,
        "pressure": Pressure(JOB, "default", Session._meta.db_table),
        "stay_alive": lambda: None,
    }
    return Pace(**(given | options))


def simulate(size, cost, batches=60, target=0.025):
    """The sizes that come out when a batch of n units takes cost(n) seconds."""
    sizes = []
    for _ in range(batches):
        units = max(int(size.now), 1)
        sizes.append(units)
        size.took(units, cost(units), target)
    return sizes


def test_batches_grow_at_most_twofold_from_a_small_start_up_to_the_target():
    sizes = simulate(Size(8), lambda units: units * 0.00001)

    assert all(following <= 2 * size + 2 for size, following in pairwise(sizes))
    assert sizes[0] == 8
    assert sizes[-1] == pytest.approx(2500, rel=0.02)


def test_a_fixed_cost_leaves_at_least_half_of_the_target_to_the_work():
    quick = simulate(Size(200), lambda units: 0.005 + units * 0.0001)
    slow = simulate(Size(200), lambda units: 0.040 + units * 0.0001)

    assert quick[-1] == pytest.approx(200, rel=0.1)  # 5 ms and 200 × 0.1 ms
    assert slow[-1] == pytest.approx(125, rel=0.1)  # no smaller: the 40 ms would stay


def test_batches_do_not_dwindle_on_a_machine_that_is_overloaded():
    random = Random(1)
    sizes = simulate(Size(200), lambda units: random.uniform(0.02, 0.08) + units * 0.00002, batches=500)

    assert min(sizes) > 20
    assert statistics.median(sizes) > 200


def test_batches_that_last_as_long_as_they_shall_do_not_leap():
    """A leap is a batch that makes others wait, or is given up."""
    random = Random(1)
    sizes = simulate(Size(200), lambda units: random.uniform(0.8, 1.2) * units * 0.00017, batches=500)

    assert max(later / earlier for earlier, later in pairwise(sizes)) < 1.5
    assert 110 < min(sizes[1:]) < max(sizes[1:]) < 250  # 147 take 25 ms


def test_a_dearer_part_of_a_table_makes_batches_small_at_once():
    size = Size(8)
    simulate(size, lambda units: units * 0.00001)
    sizes = simulate(size, lambda units: units * 0.0001, batches=8)

    assert sizes[-1] == pytest.approx(250, rel=0.2)


def test_a_batch_has_a_row_however_slow_the_database_is():
    size = Size(8)
    for _ in range(9):
        size.took(size.whole, 10, 0.025)
    assert size.now < 1
    assert size.whole == 1


def test_a_batch_given_up_is_asked_for_again_at_half_the_size():
    size = Size(8)
    size.gave_up(8, 0.04)
    assert size.now == 4


def test_what_was_given_up_is_not_soon_tried_again():
    size = Size(1000)
    size.gave_up(1000, 0.0375)
    for _ in range(3):
        size.took(int(size.now), int(size.now) * 0.00004, 0.025)
    assert size.now < 700


def test_a_size_from_which_on_the_plan_is_a_bad_one_is_tried_ever_less_often():
    size, given_up = Size(8), []
    for number in range(400):
        if int(size.now) >= 26:
            size.gave_up(int(size.now), 0.0375)
            given_up.append(number)
        else:
            size.took(int(size.now), int(size.now) * 0.0002, 0.025)
    first, last = given_up[1] - given_up[0], given_up[-1] - given_up[-2]
    assert len(given_up) < 15
    assert last > 5 * first


def test_a_mishap_is_forgotten():
    size = Size(1000)
    size.gave_up(1000, 0.0375)
    for _ in range(20):
        size.took(int(size.now), int(size.now) * 0.00001, 0.025)
    assert size.now > 2000
    assert size.ceiling == float("inf")


def test_a_small_batch_says_nothing_about_a_full_one():
    size = Size(200)
    size.took(10, 0.004, 0.025)
    assert size.now == 200


def test_a_batch_is_never_larger_than_what_max_rows_leaves():
    this = pace(max_rows=10)
    assert [this.next_rows(changed) for changed in (0, 5, 9, 10, 11)] == [8, 5, 1, 0, 0]


@pytest.mark.parametrize(
    ("sqlite", "pause_ms", "percent", "batch", "least", "most"),
    [
        (False, 0, 0, 9, 0, 0),
        (False, 40, 0, 9, 0.04, 0.04),
        (False, 0, 50, 0.2, 0.1, 0.1),  # in proportion
        (False, 0, 1000, 0.02, 0.2, 0.2),
        (False, 40, 50, 0.02, 0.04, 0.04),  # the longer of the two
        (True, 0, 0, 9, 0.025, 0.035),
        (True, 0, 50, 0.01, 0.025, 0.035),
        (True, 0, 50, 0.2, 0.1, 0.1),
        (True, 500, 0, 9, 0.5, 0.5),
    ],
)
def test_the_rest_after_a_batch(settings, monkeypatch, sqlite, pause_ms, percent, batch, least, most):
    settings.SESSION_CLEANUP_PAUSE_MS = pause_ms
    settings.SESSION_CLEANUP_PAUSE_PERCENT = percent
    slept = []
    monkeypatch.setattr(Pace, "sleep", lambda self, seconds: slept.append(seconds))
    monkeypatch.setattr(Pressure, "relieve", lambda self: None)
    for _ in range(20):
        pace(sqlite=sqlite).rest(batch)
    assert least <= min(slept) + 0.001  # a checkpoint, which is nothing here, is part of it
    assert max(slept) <= most
    assert (max(slept) - min(slept) > 0.002) is (least < most)  # two processes do not keep step for ever


@pytest.mark.parametrize("seconds", [0.025, 0.07])
def test_a_pause_is_as_long_as_it_says(seconds):
    this = pace()
    took = []
    for _ in range(5):
        started = time.monotonic()
        this.sleep(seconds)
        took.append(time.monotonic() - started)
    assert seconds <= min(took) < seconds + 0.01


def test_a_pause_ends_as_soon_as_the_run_is_stopped():
    asked = iter([False, True, True])
    started = time.monotonic()
    pace(stopped=lambda: next(asked)).sleep(30)
    assert time.monotonic() - started < 5


def test_the_deadline_and_the_signal_end_a_job():
    assert pace(deadline=time.monotonic() - 1).over() is EndState.TIMED_OUT
    assert pace(deadline=time.monotonic() + 60).over() is None
    assert pace(stopped=lambda: True, deadline=0.0).over() is EndState.STOPPED


def slow_update(monkeypatch, per_row):
    """Each row of a batch takes `per_row` seconds to act on, in one statement."""
    act = Acting.act_at_once

    def slowly(self, part):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [per_row * len(part.keys)])
        return act(self, part)

    monkeypatch.setattr(Acting, "act_at_once", slowly)


@pytest.mark.postgres
def test_a_batch_that_is_too_slow_is_split_and_done(run, settings, monkeypatch):
    settings.SESSION_CLEANUP_STATEMENT_TIMEOUT_MS = 200
    SessionFactory.create_batch(4, expires_at=NOW - SECOND)
    slow_update(monkeypatch, per_row=0.08)

    job = run(JOB).jobs[0]

    assert (job.end_state, job.changed) == ("drained", 4)
    assert job.batches > 1


@pytest.mark.postgres
def test_a_size_that_is_too_slow_is_come_back_to_ever_less_often(
    run, transactional_db, settings, monkeypatch, caplog
):
    """One batch in four was given up where the rows that were due lay far apart."""
    settings.SESSION_CLEANUP_BATCH_MS = 100  # the others are far from being given up, on a busy machine too
    caplog.set_level("INFO", "session_cleanup.engine.ladder")
    SessionFactory.create_batch(500, expires_at=NOW - SECOND)
    act = Acting.act_at_once

    def by_another_plan(self, part):
        if len(part.keys) > 10:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.5)")
        return act(self, part)

    monkeypatch.setattr(Acting, "act_at_once", by_another_plan)

    job = run(JOB).jobs[0]

    assert (job.end_state, job.changed) == ("drained", 500)
    assert job.batches > 50
    assert caplog.text.count("trouble=TOO_SLOW") < job.batches / 5


@pytest.mark.postgres
def test_a_single_row_that_is_too_slow_fails_the_job_and_nothing_is_half_done(run, settings, monkeypatch):
    settings.SESSION_CLEANUP_STATEMENT_TIMEOUT_MS = 100
    SessionFactory.create_batch(2, expires_at=NOW - SECOND)
    slow_update(monkeypatch, per_row=0.5)

    job = run(JOB).jobs[0]

    assert job.end_state == "failed"
    assert "statement timeout" in job.error
    assert Session.objects.active().count() == 2


def test_a_search_in_trouble_is_tried_again_and_then_given_up(run, settings, monkeypatch):
    settings.SESSION_CLEANUP_RETRIES = 2
    SessionFactory(expires_at=NOW - SECOND)
    monkeypatch.setattr(Pace, "back_off", lambda self, attempt: None)
    monkeypatch.setattr(ladder, "trouble", lambda error, using: ladder.Trouble.LOCKED)
    step = drain.KeysetWalk.step
    failures = [OperationalError("locked")] * 2

    def fails_at_first(self, size):
        if failures:
            raise failures.pop()
        return step(self, size)

    monkeypatch.setattr(drain.KeysetWalk, "step", fails_at_first)
    assert run(JOB).jobs[0].changed == 1

    failures += [OperationalError("locked for ever")] * 9
    assert "locked for ever" in run(JOB).jobs[0].error


def test_no_batch_changes_more_than_the_largest_batch(run, monkeypatch):
    SessionFactory.create_batch(7, expires_at=NOW - SECOND)
    sizes = []
    batch = Batches.run_whole

    def measured(self, part, cursor, **options):
        sizes.append(len(part.keys))
        return batch(self, part, cursor, **options)

    monkeypatch.setattr(Batches, "run_whole", measured)
    run(JOB, batch_size=3)

    assert max(sizes) == 3
    assert sum(sizes) == 7


def test_update_does_not_move_auto_now_by_itself_so_presets_name_it(run):
    old = NOW - 30 * DAY
    rows = [SessionFactory(expires_at=NOW - SECOND), AfterHoursFactory(expires_at=NOW - SECOND)]
    Session.objects.update(updated_at=old)

    run(JOB, "after-hours-close")

    for row in rows:
        row.refresh_from_db()
        assert row.updated_at == NOW


def test_claims_are_written_only_when_a_later_job_could_come_upon_the_rows(run, monkeypatch):
    """Collaborative sessions are of another kind than all that later jobs look at."""
    SessionFactory(expires_at=NOW - SECOND)
    AfterHoursFactory(expires_at=NOW - 30 * DAY)
    monkeypatch.setattr("session_cleanup.engine.execution.Execution._delete_claims", lambda self: None)

    run(*(job.name for job in jobs()))

    assert set(Claim.objects.values_list("model", flat=True)) == {"session_cleanup.Session"}
    assert Claim.objects.count() == 1  # of after-hours-close, for after-hours-ended
    assert Claim.objects.filter(object_pk=str(Session.objects.get(kind="after_hours").pk)).exists()
    assert Session.objects.inactive().count() == 2
