"""Processes that generate, change and go through the sessions of the same series at the same time."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from datetime import time as clock

import pytest
from django.core.management import call_command
from django.db.models import Count, F

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import CleanupLease, JobRun, OccurrenceLog, Session, SessionMember, SessionSeries
from tests.engine.processes import ROOT, environment, start
from tests.factories import DAY, HOUR, NOW, SeriesFactory, UserFactory
from tests.faults.children import until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(240),
]
SECONDS = 120  # no process takes a tenth of it alone
JOB = "recurring-generate"
Event = OccurrenceLog.Event


@pytest.fixture
def together():
    """together("generate", …): these roles in a process each, all at the same moment; what each said."""
    children = []

    def together(*roles, times):
        for seed, role in enumerate(roles):
            command = [sys.executable, "-m", "tests.recurrence.child", role, str(seed), str(times)]
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            children.append(subprocess.Popen(command, cwd=ROOT, env=environment(), text=True, **pipes))
        for child in children:
            assert child.stdout.readline() == "ready\n", child.communicate()[1]
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        said = [child.communicate(timeout=SECONDS) for child in children]
        assert [child.returncode for child in children] == [0] * len(children), said
        return [json.loads(out) for out, _ in said]

    yield together
    for child in children:
        if child.poll() is None:
            child.kill()
            child.communicate()


def series_with_members(count, **values):
    users = [UserFactory(), UserFactory()]
    for series in SeriesFactory.create_batch(count, **{"horizon_days": 20, **values}):
        series.members.add(*users)


def generated(now=NOW):
    [job] = runner.run(RunRequest(jobs=(JOB,)), now=now).jobs
    assert job.end_state == "drained", job.error
    return job.changed


def assert_each_is_there_once(series, days):
    """Every session of each of them with its members and its entry in the log; and nothing else."""
    assert Session.objects.count() == series * days
    pairs = set(Session.objects.values_list("series", "occurrence"))
    assert len(pairs) == series * days
    assert_all_or_nothing()


def assert_all_or_nothing():
    sessions = set(Session.objects.values_list("uid", flat=True))
    log = list(OccurrenceLog.objects.filter(event=Event.GENERATED).values_list("session_uid", flat=True))
    assert set(log) == sessions
    assert len(log) == len(sessions)
    assert not Session.objects.annotate(have=Count("members")).exclude(have=2).exists()
    ahead = Session.objects.filter(series__generated_until__isnull=True)
    assert not ahead.exists()
    assert not Session.objects.filter(starts_at__gte=F("series__generated_until")).exists()


def test_two_processes_that_generate_at_once_create_each_session_once_and_their_counts_add_up(together):
    """Even if each believes that it has the lease."""
    series_with_members(20)

    said = together("generate", "generate", times=3)
    left = generated(NOW + 2 * DAY)

    assert_each_is_there_once(20, 23)
    assert sum(each["sessions"] for each in said) + left == 20 * 23
    assert all(each["sessions"] for each in said)
    assert sum(each["members"] for each in said) + 2 * left == SessionMember.objects.count()
    counted = sum((Counter(each["series"]) for each in said), Counter())
    assert left or set(counted.values()) == {23}


def test_one_series_by_hand_shares_the_lease_of_the_job(capsys):
    series_with_members(20)
    uid = SessionSeries.objects.latest("pk").uid
    child = start(JOB, BATCH_SIZE=5, PAUSE_MS=20)
    until(lambda: child.poll() is not None or JobRun.objects.filter(batches__gte=2).exists(), "a batch")

    with pytest.raises(SystemExit) as left:
        call_command("cleanup_sessions", JOB, "--series", str(uid))
    child.communicate(timeout=SECONDS)

    assert left.value.code == 4
    assert f"(pid {child.pid}) since" in capsys.readouterr().out
    assert child.returncode == 0
    assert JobRun.objects.get(end_state="drained").changed == Session.objects.count()
    assert_all_or_nothing()


def test_a_process_that_is_killed_loses_its_batch_and_nothing_else():
    series_with_members(20)
    chance = random.Random(1)
    for number in range(4):
        child = start(JOB, BATCH_SIZE=5, PAUSE_MS=10)
        run = JobRun.objects.filter(run__pid=child.pid)
        until(lambda run=run, number=number: run.filter(batches__gte=number).exists(), "a batch")
        time.sleep(chance.uniform(0, 0.05))
        child.kill()
        child.communicate()
        assert_all_or_nothing()
        CleanupLease.objects.update(expires_at=F("expires_at") - DAY)

    now = datetime.now(UTC)
    generated(now)

    per_series = set(SessionSeries.objects.annotate(have=Count("sessions")).values_list("have", flat=True))
    assert len(per_series) == 1
    assert per_series.pop() in (20, 21)  # that of today may be over
    assert_all_or_nothing()
    assert sum(JobRun.objects.values_list("changed", flat=True)) == Session.objects.count()


def wanted(series):
    """The original starts that a series should have sessions for, among those to come."""
    return {wall for _, wall in series.starts(NOW, series.generated_until)}


def assert_like_their_series():
    """What is to come is what the rule says now, no more and no less, but where something was changed."""
    for series in SessionSeries.objects.all():
        sessions = list(series.sessions.filter(starts_at__gt=NOW))
        apart = {each.occurrence.date() for each in sessions if each.is_detached}
        ours = [each for each in sessions if not each.is_detached]
        there = {each.occurrence for each in ours}
        assert len(there) == len(ours)
        assert {wall for wall in there if wall.date() not in apart} == {
            wall for wall in wanted(series) if wall.date() not in apart
        }, series.rule
        assert {each.title for each in ours} <= {series.title(wall) for wall in there}


def test_no_change_of_a_series_is_lost_and_nothing_of_the_old_rule_comes_after_it(together):
    series_with_members(3, start_time=clock(12))
    generated()

    renamed, moved, *_ = together("rename", "move", "generate", "change_one", times=25)
    generated(NOW + 24 * DAY)

    assert renamed["all"] == 25
    assert moved["all"] > 5
    assert moved["following"] > 0
    for uid, number in renamed["last"].items():
        assert SessionSeries.objects.get(uid=uid).name == f"name {number}"
    for uid, number in moved["last"].items():
        assert SessionSeries.objects.get(uid=uid).start_time == clock(number % 24, 1 + number % 59)
    assert_like_their_series()
    assert not Session.objects.filter(series=None).exists()


def test_activating_closing_and_generating_at_once(together):
    """Each by its own clock, so that they overtake each other."""
    hours = 60
    series_with_members(6, rule="FREQ=HOURLY;INTERVAL=2", horizon_days=2)
    generated()

    activated, closed, made, _ = together("activate", "close", "go_on", "rename", times=hours)
    last = runner.run(RunRequest(jobs=("recurring",)), now=NOW + hours * HOUR).jobs

    figures = Counter()
    for each in (activated, closed, made, *(job.figures for job in last)):
        figures.update(each)
    log = Counter(OccurrenceLog.objects.values_list("event", flat=True))
    for event in (Event.ACTIVATED, Event.CLOSED, Event.MISSED):
        assert figures[event] == log[event], event
    over = Session.objects.filter(expires_at__lt=NOW + hours * HOUR)
    assert not over.filter(ended_at=None).exists()
    assert over.count() == Session.objects.ended().count() == log["closed"] + log["missed"] > 0
    assert not over.exclude(ended_at=F("expires_at")).exists()
    events = OccurrenceLog.objects.values_list("session_uid", "event")
    assert max(Counter(each for each in events if each[1] not in ("moved",)).values()) == 1
    missed = set(OccurrenceLog.objects.filter(event="missed").values_list("session_uid", flat=True))
    begun = set(OccurrenceLog.objects.filter(event="activated").values_list("session_uid", flat=True))
    assert not missed & begun
