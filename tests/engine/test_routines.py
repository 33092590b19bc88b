"""A run of a job that is no policy: its lease, its record, its end, and a preview that writes nothing."""

import json
import threading
import uuid

import pytest
from django.db import connections, transaction

from session_cleanup.engine import runner
from session_cleanup.engine.pacing import EndState
from session_cleanup.engine.report import RunRequest
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import CleanupLease, Hold, JobRun
from session_cleanup.policies import registry
from session_cleanup.policies.job import Routine
from session_cleanup.reporting import json as as_json
from session_cleanup.reporting import text as as_text
from session_cleanup.scheduling.schedules import schedule_of
from tests.commands.calling import call, report_of
from tests.factories import NOW

JOB = "holds"
ROUTINE = Routine(
    name=JOB,
    model="session_cleanup.Hold",
    verb="placed",
    work="tests.engine.test_routines.Placing",
    group="monthly",
)


def hold(number):
    Hold.objects.create(model="testapp.Book", object_pk=str(number))


class Placing:
    """Places three holds, one a batch; something may happen just before the third, or within it."""

    before = inside = staticmethod(lambda: None)

    def preview(self, using, now, report):
        report.due = 3 - Hold.objects.using(using).count()

    def run(self, steps, pace):
        for number in range(Hold.objects.using(steps.using).count(), 3):
            if end := pace.over():
                return end
            if number == 2:
                self.before()
            with steps.batch():
                hold(number)
                steps.report.changed += 1
                steps.report.related = {"testapp.Book": steps.report.changed}
                if number == 2:
                    self.inside()
        return None


@pytest.fixture(autouse=True)
def _registered(declare, monkeypatch):
    declare(ROUTINE)


@pytest.fixture
def happens(monkeypatch):
    """happens(before=…, inside=…) the batch of the third hold."""

    def happens(**calls):
        for when, does in calls.items():
            monkeypatch.setattr(Placing, when, staticmethod(does))

    return happens


def fails(*_):
    raise ValueError("a fault")


def test_it_drains_and_is_written_down(run):
    report = run(JOB)

    assert report.status == "ok"
    assert (report.jobs[0].end_state, report.jobs[0].changed, report.jobs[0].batches) == ("drained", 3, 3)
    record = JobRun.objects.get()
    assert (record.end_state, record.changed, record.batches) == ("drained", 3, 3)
    assert (record.action, record.cutoff, record.related) == ("", None, {"testapp.Book": 3})
    assert Hold.objects.count() == 3


def test_a_second_run_finds_nothing_to_do(run):
    run(JOB)

    assert (run(JOB).jobs[0].changed, Hold.objects.count()) == (0, 3)


def test_a_preview_counts_and_writes_nothing(preview):
    report = preview(JOB)

    assert (report.jobs[0].due, report.jobs[0].changed, report.jobs[0].end_state) == (3, 0, None)
    assert not any(model.objects.exists() for model in (Hold, JobRun, CleanupLease))


def test_a_failed_batch_is_rolled_back_with_its_counts(run, happens):
    happens(inside=fails)

    job = run(JOB, "housekeeping-history").jobs[0]

    assert (job.end_state, job.changed, job.related) == ("failed", 2, {"testapp.Book": 2})
    assert Hold.objects.count() == 2
    assert JobRun.objects.get(job=JOB).changed == 2
    assert JobRun.objects.get(job="housekeeping-history").end_state == "drained"


def test_a_failure_in_a_preview_is_in_the_report(preview, monkeypatch):
    monkeypatch.setattr(Placing, "preview", fails)

    assert preview(JOB).exit_status == 1


def test_who_lost_the_lease_commits_nothing_more(run, happens):
    happens(before=lambda: CleanupLease.objects.filter(job=JOB).update(token=uuid.uuid4()))

    report = run(JOB)

    assert (report.jobs[0].end_state, report.exit_status) == ("lease_lost", 1)
    assert Hold.objects.count() == 2


def test_it_is_left_to_who_runs_it(run):
    CleanupLease.objects.create(
        job=JOB, since="2026-01-01T00:00Z", expires_at="9999-01-01T00:00Z", holder="web-2 (pid 7)"
    )

    report = run(JOB)

    assert (report.jobs[0].end_state, report.exit_status) == ("busy", 4)
    assert not Hold.objects.exists()


def test_it_stops_between_two_batches(db):
    report = runner.run(RunRequest(jobs=(JOB,)), now=NOW, stopped=lambda: Hold.objects.count() == 1)

    assert (report.jobs[0].end_state, report.exit_status, report.jobs[0].changed) == ("stopped", 5, 1)


def test_it_does_not_begin_when_the_time_is_over(run, monkeypatch):
    monkeypatch.setattr("session_cleanup.engine.pacing.Pace._over", lambda pace: EndState.TIMED_OUT)

    assert (run(JOB).status, Hold.objects.count()) == ("incomplete", 0)


def test_disabled_it_does_nothing(run, settings):
    settings.SESSION_CLEANUP_ENABLED = False

    assert (run(JOB).status, Hold.objects.count()) == ("disabled", 0)


@pytest.mark.parametrize("dry_run", [True, False])
def test_as_json_it_has_no_model_action_and_cutoff(run, dry_run):
    [job] = as_json.as_dict(run(JOB, dry_run=dry_run))["jobs"]

    assert (job["model"], job["action"], job["cutoff"], job["walk"]) == (None, None, None, None)
    assert (job["name"], job["group"], job["database"], job["exact"]) == (JOB, "monthly", "default", True)
    assert job["due"] == (3 if dry_run else None)


def test_as_text_it_has_its_noun_and_verb(run):
    assert "  Holds that would be placed: 3\n" in as_text.render(run(JOB, dry_run=True), verbose=True)
    assert "  Holds placed: 3\n" in as_text.render(run(JOB))


def test_it_is_listed_with_its_group_and_schedule(db):
    status, shown = call("--list", JOB, "--format", "json")

    assert status == 0
    [listed] = json.loads(shown)
    assert listed == {
        "name": JOB,
        "group": "monthly",
        "schedule": "0 4 1 * *",
        "action": None,
        "model": None,
        "preset": None,
        "age_seconds": None,
    }
    assert JOB in call("--list")[1]
    assert schedule_of(registry.select([JOB])[0]) == "0 4 1 * *"


def test_statistics_and_the_doctor_pass_over_it(db):
    assert report_of("--stats", JOB)["stats"] == {}
    assert call(JOB, command="cleanup_doctor")[0] == 0


def test_no_age_is_for_it(run):
    with pytest.raises(ConfigurationError, match="None of the jobs of this run"):
        run(JOB, days=3)


@pytest.mark.django_db(transaction=True, databases=["default"])
def test_what_a_batch_does_is_durable():
    """Each batch is a transaction of its own: inside another one it is refused."""
    with transaction.atomic():
        report = runner.run(RunRequest(jobs=(JOB,)), now=NOW)
    assert report.jobs[0].end_state == "failed"
    assert not Hold.objects.exists()


@pytest.mark.django_db(transaction=True, databases=["default"])
def test_two_at_once_do_it_once(happens):
    """The second finds the lease taken while the first is inside its third batch."""
    seen = []

    def other():
        seen.append(runner.run(RunRequest(jobs=(JOB,)), now=NOW).jobs[0].end_state)
        connections.close_all()

    def meanwhile():
        if connections["default"].vendor == "postgresql":  # SQLite lets nobody write meanwhile
            thread = threading.Thread(target=other)
            thread.start()
            thread.join(30)

    happens(inside=meanwhile)
    report = runner.run(RunRequest(jobs=(JOB,)), now=NOW)

    assert (report.jobs[0].changed, Hold.objects.count()) == (3, 3)
    assert seen == (["busy"] if connections["default"].vendor == "postgresql" else [])
