"""Promise 4: small steps, smaller ones in trouble, and a rest for those who wait."""

import time

import pytest
from django.db import OperationalError, connection

from session_cleanup.engine import drain
from session_cleanup.engine.pacing import EndState, Pace
from session_cleanup.models import Claim, Session
from session_cleanup.policies.actions import Update
from session_cleanup.policies.registry import jobs
from tests.factories import DAY, NOW, SECOND, AfterHoursFactory, SessionFactory

JOB = "collaborative-expired"


def pace(**options):
    given = {"stopped": lambda: False, "deadline": None, "max_rows": None, "max_size": 8, "sqlite": False}
    return Pace(**(given | options))


def test_batches_halve_in_trouble_down_to_one_row_and_double_again():
    this = pace()
    sizes = []
    for _ in range(4):
        this.went_badly()
        sizes.append(this.size)
    for _ in range(4):
        this.went_well()
        sizes.append(this.size)
    assert sizes == [4, 2, 1, 1, 2, 4, 8, 8]


def test_a_batch_is_never_larger_than_what_max_rows_leaves():
    this = pace(max_rows=10)
    assert [this.next_size(changed) for changed in (0, 5, 9, 10, 11)] == [8, 5, 1, 0, 0]


@pytest.mark.parametrize(
    ("sqlite", "pause_ms", "least", "most"),
    [(False, 0, 0, 0), (False, 40, 0.04, 0.04), (True, 0, 0.025, 0.035), (True, 500, 0.5, 0.5)],
)
def test_the_rest_after_a_batch(settings, monkeypatch, sqlite, pause_ms, least, most):
    settings.SESSION_CLEANUP_PAUSE_MS = pause_ms
    slept = []
    monkeypatch.setattr(Pace, "sleep", lambda self, seconds: slept.append(seconds))
    for _ in range(20):
        pace(sqlite=sqlite).rest()
    assert least <= min(slept) <= max(slept) <= most


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
    act = Update.apply

    def apply(self, rows, claims):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [per_row * rows.count()])
        return act(self, rows, claims)

    monkeypatch.setattr(Update, "apply", apply)


@pytest.mark.postgres
def test_a_batch_that_is_too_slow_is_split_and_done(run, settings, monkeypatch):
    settings.SESSION_CLEANUP_STATEMENT_TIMEOUT_MS = 200
    SessionFactory.create_batch(4, expires_at=NOW - SECOND)
    slow_update(monkeypatch, per_row=0.08)

    job = run(JOB).jobs[0]

    assert (job.end_state, job.changed) == ("drained", 4)
    assert job.batches > 1


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
    monkeypatch.setattr(drain, "trouble", lambda error, using: drain.Trouble.LOCKED)
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
    batch = drain.Batches.run

    def measured(self, keys, position, **options):
        done = batch(self, keys, position, **options)
        sizes.append(len(done[0]))
        return done

    monkeypatch.setattr(drain.Batches, "run", measured)
    run(JOB, batch_size=3)

    assert sizes == [3, 3, 1]


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
    monkeypatch.setattr("session_cleanup.engine.runner._Run._delete_claims", lambda self: None)

    run(*(job.name for job in jobs()))

    assert set(Claim.objects.values_list("model", flat=True)) == {"session_cleanup.Session"}
    assert Claim.objects.count() == 1  # of after-hours-close, for after-hours-ended
    assert Claim.objects.filter(object_pk=str(Session.objects.get(kind="after_hours").pk)).exists()
    assert Session.objects.inactive().count() == 2
