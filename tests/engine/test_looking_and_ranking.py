"""Excess, Invalid and Duplicated while other connections work in the same rows."""

import pytest
from django.db.models import F

from session_cleanup.engine import runner
from session_cleanup.engine.inspection import Inspection
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import Session
from tests.engine.processes import start
from tests.engine.running import another_connection, lock
from tests.factories import DAY, HOUR, NOW, BrowserFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run():
    return lambda *jobs, **options: runner.run(RunRequest(jobs=jobs, **options), now=NOW)


def of_one_holder(count, **values):
    return [
        BrowserFactory(holder="7", is_active=False, created_at=NOW - number * HOUR, **values)
        for number in range(count)
    ]


def test_a_row_is_not_too_many_any_more_when_a_newer_one_has_gone(run, settings, between_finding_and_acting):
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 2
    rows = of_one_holder(4)
    between_finding_and_acting(rows[0].delete)

    assert run("browser-excess").jobs[0].changed == 1
    assert set(Session.objects.all()) == {rows[1], rows[2]}


def test_a_row_that_has_become_the_newest_active_is_kept(run, settings, between_finding_and_acting):
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 1
    rows = of_one_holder(3)
    between_finding_and_acting(lambda: Session.objects.filter(pk=rows[2].pk).update(is_active=True))

    assert run("browser-excess").jobs[0].changed == 1
    assert set(Session.objects.all()) == {rows[0], rows[2]}


def test_a_row_that_went_to_another_holder_is_kept(run, settings, between_finding_and_acting):
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 1
    rows = of_one_holder(2)
    between_finding_and_acting(lambda: Session.objects.filter(pk=rows[1].pk).update(holder="8"))

    assert run("browser-excess").jobs[0].changed == 0


@pytest.mark.parametrize("told", [True, False])
def test_a_payload_that_was_repaired_meanwhile_is_kept(run, between_finding_and_acting, told):
    """Also by somebody who tells nobody: the row is decoded anew under its lock."""
    row, bad = BrowserFactory(payload=[]), BrowserFactory(payload=[])
    rows = Session.objects if told else Session._base_manager
    between_finding_and_acting(lambda: rows.filter(pk=row.pk).update(payload={}))

    assert run("browser-invalid").jobs[0].changed == 1
    assert list(Session.objects.all()) == [row]
    row.refresh_from_db()
    assert row.payload_valid in ((None, True) if told else (True,))
    assert bad.pk


def test_the_last_copy_is_kept_when_the_newer_one_has_gone(run, between_finding_and_acting):
    rows = of_one_holder(2, payload={})
    Session._base_manager.update(payload_checked_at=NOW - HOUR, updated_at=NOW - DAY)
    between_finding_and_acting(rows[0].delete)

    assert run("browser-duplicates").jobs[0].changed == 0
    assert list(Session.objects.all()) == [rows[1]]


@pytest.mark.postgres
@pytest.mark.parametrize("job", ["browser-excess", "browser-invalid", "browser-duplicates"])
def test_locked_rows_are_passed_over_and_counted_as_skipped(run, settings, job):
    settings.SESSION_CLEANUP_LOCKED_WAIT_MS = 50
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 1
    rows = of_one_holder(3, payload=[])
    Session._base_manager.update(payload_checked_at=NOW - HOUR, updated_at=NOW - DAY)
    with another_connection() as other:
        other(lock(rows[2]))
        found = run(job).jobs[0]

    assert rows[2] in Session.objects.all()
    assert (found.end_state, dict(found.skipped)) == ("drained_with_skips", {"locked": 1})
    assert found.changed == (2 if job == "browser-invalid" else 1)


def test_the_verdicts_of_batches_that_committed_outlive_a_run_that_fails(run, monkeypatch):
    BrowserFactory.create_batch(4)
    Session._base_manager.update(payload_checked_at=None, payload_valid=None)
    monkeypatch.setattr(Inspection, "_keep", fails_after(2, Inspection._keep))

    assert run("browser-invalid", batch_size=1).jobs[0].end_state == "failed"
    assert Session.objects.filter(payload_valid=True).count() == 2


def fails_after(count, original):
    calls = []

    def keep(self, *arguments):
        calls.append(1)
        if len(calls) > count:
            raise RuntimeError("killed")
        return original(self, *arguments)

    return keep


def test_a_verdict_is_never_older_than_its_row_by_a_clock_that_is_ahead(run):
    """The application wrote `updated_at` by its own clock, which is ahead of the database's."""
    session = BrowserFactory()
    Session._base_manager.update(payload_checked_at=None, updated_at=NOW + DAY)

    run("browser-invalid")
    session.refresh_from_db()

    assert session.payload_checked_at == NOW + DAY
    assert not Session.objects.filter(payload_checked_at__lt=F("updated_at")).exists()


@pytest.mark.fault
def test_two_processes_leave_as_many_as_one(settings):
    """One takes the lease; whatever the other does, the newest ten stay."""
    Session.objects.bulk_create(
        Session(kind="browser", holder=str(number % 20), is_active=False, created_at=NOW - number * HOUR)
        for number in range(400)
    )
    kept = set(Session.objects.order_by("-created_at")[:200].values_list("pk", flat=True))
    children = [start("browser-excess", BATCH_SIZE=5, PAUSE_MS=5) for _ in range(2)]
    for child in children:
        child.communicate(timeout=60)

    assert {child.returncode for child in children} <= {0, 4}
    assert set(Session.objects.values_list("pk", flat=True)) == kept
