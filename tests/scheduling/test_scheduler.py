"""The scheduler in this process: what it starts, what it says, and what it survives."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections
from django.db.models.functions import Now

from session_cleanup import scheduling
from session_cleanup.conf import conf
from session_cleanup.engine import runner
from session_cleanup.exceptions import ConfigurationError, DatabaseUnavailable
from session_cleanup.models import CleanupLease, CleanupRun, JobRun
from session_cleanup.policies import Aged, Delete, Policy
from session_cleanup.scheduling import in_process, leadership, scheduler
from session_cleanup.scheduling.agenda import Agenda, last_starts
from session_cleanup.scheduling.leadership import LEADER, Leadership
from session_cleanup.scheduling.listening import Listener, connect_within
from session_cleanup.scheduling.scheduler import Scheduler
from tests.faults.children import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(declare, settings, monkeypatch):
    """Two jobs of our own, which start at two; the waits are short."""
    settings.SESSION_CLEANUP_JITTER_SECONDS = 0
    declare(job("first"), job("second"))
    monkeypatch.setattr(scheduler, "TICK", 0.02)


def job(name):
    return Policy(name=name, model="testapp.Book", select=Aged("read_at"), action=Delete())


@pytest.fixture
def make():
    """make(): a scheduler whose `stopped` is a flag; it is ended with the test."""
    made = []

    def make(**options):
        flag = threading.Event()
        made.append((flag, Scheduler(flag.is_set, **options)))
        return made[-1][1]

    yield make
    for flag, each in made:
        flag.set()
        each.end()


def due(*names):
    """Make it that these jobs started two days ago, and all others a moment ago."""
    from session_cleanup.policies import registry

    last_starts(registry.jobs())
    CleanupLease.objects.filter(job__in=names).update(since=Now() - timedelta(days=2))


def turn(each):
    each.turn()
    for thread in set(each.running.values()):
        thread.join(20)


def runs():
    rows = JobRun.objects.order_by("pk").select_related("run")
    return [(row.job, row.run.trigger, row.end_state) for row in rows]


def test_what_is_due_is_started_in_one_run_and_once(make):
    due("first", "second")
    one = make()

    for _ in range(3):
        turn(one)

    assert runs() == [("first", "scheduler", "drained"), ("second", "scheduler", "drained")]
    assert CleanupRun.objects.count() == 1


def test_of_two_schedulers_one_leads_and_the_other_takes_over_when_it_ends(make):
    due("first")
    one, other = make(), make()

    turn(one)
    turn(other)
    assert (one.leadership.lease is None, other.leadership.lease is None) == (False, True)
    assert [name for name, *_ in runs()] == ["first"]

    one.end()
    due("second")
    turn(other)
    assert other.leadership.lease is not None
    assert [name for name, *_ in runs()] == ["first", "second"]


def test_a_leader_that_was_silent_for_too_long_follows(make, caplog):
    one, other = make(), make()
    turn(one)
    CleanupLease.objects.filter(job=LEADER).update(expires_at=Now() - timedelta(seconds=1))
    turn(other)
    due("first", "second")
    one.leadership.renewed_at = 0

    turn(one)

    assert one.leadership.lease is None
    assert "followed by another" in caplog.text
    assert runs() == []
    other.agenda = Agenda(other.jobs)
    turn(other)
    assert [name for name, *_ in runs()] == ["first", "second"]


def test_the_lead_is_renewed_when_a_third_of_it_is_over(monkeypatch):
    lead = Leadership("default")
    assert lead.hold()
    before = CleanupLease.objects.get(job=LEADER).expires_at

    assert lead.hold()
    assert CleanupLease.objects.get(job=LEADER).expires_at == before

    third = lead.renewed_at + conf.LEASE_SECONDS / 3
    monkeypatch.setattr(leadership.time, "monotonic", lambda: third)
    assert lead.hold()
    assert CleanupLease.objects.get(job=LEADER).expires_at > before


def test_idle_a_leader_asks_the_database_nothing_and_a_follower_one_thing(make, django_assert_num_queries):
    one, other = make(), make()
    turn(one)

    with django_assert_num_queries(0):
        turn(one)
    with django_assert_num_queries(1):
        turn(other)


@pytest.mark.parametrize(
    ("end_state", "trigger", "resumed"),
    [
        ("stopped", "scheduler", True),
        ("stopped", "resumed", True),
        ("stopped", "command", False),
        ("", "scheduler", True),
        ("", "notify", True),
        ("", "resumed", False),  # what dies again would die for ever
        ("", "command", False),
        ("failed", "scheduler", False),
        ("timed_out", "scheduler", False),
    ],
)
def test_what_another_scheduler_left_undone_is_gone_on_with(make, end_state, trigger, resumed):
    due()
    run = CleanupRun.objects.create(trigger=trigger, host="", pid=1, started_at=Now())
    JobRun.objects.create(
        run=run, job="first", end_state=end_state, heartbeat_at=Now() - timedelta(hours=1), database="default"
    )

    one = make()
    turn(one)
    turn(one)

    assert [name for name, by, _ in runs()[1:]] == ["first"] * resumed
    assert CleanupRun.objects.filter(trigger="resumed").count() == resumed + (trigger == "resumed")


def test_a_job_that_still_runs_is_not_started_again(make, monkeypatch):
    going_on = threading.Event()
    real = runner.run
    monkeypatch.setattr(runner, "run", lambda *args, **more: going_on.wait(20) and real(*args, **more))
    one = make()
    due("first")
    one.turn()
    assert one.busy() == {"first"}

    one.start(["first", "second"], "scheduler", one.leadership.now)
    assert one.busy() == {"first", "second"}
    one.start(["first", "second"], "scheduler", one.leadership.now)
    going_on.set()
    for thread in set(one.running.values()):
        thread.join(20)

    assert sorted(name for name, *_ in runs()) == ["first", "second"]


def test_a_line_for_each_job_with_its_hours_and_then_with_its_run(make, caplog):
    caplog.set_level("INFO")
    due("first")
    flag = threading.Event()
    one = Scheduler(flag.is_set, beat=lambda: flag.set() if JobRun.objects.exists() else None)

    one.run()

    lines = [record.getMessage() for record in caplog.records if record.name.endswith("scheduler")]
    assert 'job scheduled job=first cron="0 2 * * *" retention_hours=0' in lines
    run = CleanupRun.objects.get().pk
    assert any(line.startswith(f"job completed job=first run={run} end_state=") for line in lines)
    assert lines[-1] == "scheduler stopped"


def test_a_failed_job_is_logged_with_its_run_and_the_others_go_on(make, caplog, monkeypatch):
    from session_cleanup.engine.drain import Drain

    real = Drain.run

    def run(self):
        if self.batches.policy.name == "first":
            raise ZeroDivisionError("nothing")
        return real(self)

    monkeypatch.setattr(Drain, "run", run)
    due("first", "second")
    one = make()

    turn(one)
    turn(one)

    assert runs() == [("first", "scheduler", "failed"), ("second", "scheduler", "drained")]
    run = CleanupRun.objects.get().pk
    assert f"job failed job=first run={run} end_state=failed" in caplog.text


@pytest.mark.parametrize("error", [DatabaseUnavailable("down"), OperationalError("down")])
def test_a_run_that_could_not_start_is_tried_again_in_a_minute(make, monkeypatch, caplog, error):
    def run(*_, **__):
        raise error

    monkeypatch.setattr(runner, "run", run)
    due("first")
    one = make()
    turn(one)

    assert "jobs not started jobs=first" in caplog.text
    now = one.leadership.now
    assert one.agenda.due(now + timedelta(seconds=55)) == []
    assert one.agenda.due(now + timedelta(seconds=61)) == ["first"]


@pytest.mark.parametrize("error", [ConfigurationError("refused"), KeyError("unforeseen")])
def test_whatever_happens_to_a_run_the_scheduler_goes_on(make, monkeypatch, caplog, error):
    def run(*_, **__):
        raise error

    monkeypatch.setattr(runner, "run", run)
    due("first")
    one = make()
    turn(one)
    turn(one)

    assert one.leadership.lease is not None
    assert type(error).__name__ in caplog.text or "refused" in caplog.text


def test_a_database_that_is_down_is_waited_for(make, monkeypatch, caplog):
    """At the start and later: warnings, ever longer pauses, and then it goes on."""
    flag = threading.Event()
    waits = []
    one = Scheduler(flag.is_set)
    hold = one.leadership.hold

    def down():
        if len(waits) < 8:
            raise OperationalError("connection refused")
        return hold()

    one.leadership.hold = down
    one.pause = lambda seconds: waits.append(seconds) if seconds > 1 else flag.set()
    monkeypatch.setattr(scheduler.random, "uniform", lambda low, high: high)
    one.listener = None
    due("first")

    one.run()

    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
    assert caplog.text.count("the database failed error=connection refused.") == 8
    assert [run[:2] for run in runs()] == [("first", "scheduler")]


def test_disabled_jobs_are_started_once_an_hour_and_change_nothing(make, settings, caplog):
    settings.SESSION_CLEANUP_ENABLED = False
    due("first")
    one = make()
    for _ in range(3):
        turn(one)

    assert runs() == []
    assert caplog.text.count("SESSION_CLEANUP_ENABLED is False") == 1


# LISTEN.


def notify(payload):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('session_cleanup', %s)", [payload])


@pytest.mark.postgres
@pytest.mark.parametrize(("payload", "started"), [("first", ["first"]), ("daily", ["first", "second"])])
def test_a_notification_starts_a_job_or_a_group(make, payload, started):
    due()
    one = make()
    turn(one)

    notify(payload)
    turn(one)  # hears it
    turn(one)

    found = [(name, by) for name, by, _ in runs() if not name.startswith("housekeeping")]
    assert found == [(name, "notify") for name in started]


@pytest.mark.postgres
@pytest.mark.parametrize("payload", ["nothing", "", "'; DROP TABLE x; --", "x" * 7000])
def test_a_notification_that_means_nothing_is_a_warning(make, caplog, payload):
    due()
    one = make()
    turn(one)
    notify(payload)
    turn(one)
    turn(one)

    assert runs() == []
    assert "nothing was started" in caplog.text
    assert len(caplog.text) < 1000


@pytest.mark.postgres
def test_only_the_leader_listens(make):
    due()
    one, other = make(), make()
    turn(one)
    turn(other)
    notify("first")
    for each in (other, one, one, other):
        turn(each)

    assert [name for name, *_ in runs()] == ["first"]


@pytest.mark.postgres
def test_a_listener_that_is_cut_off_listens_again(make):
    due()
    one = make()
    turn(one)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(%s)", [one.listener._connection.connection.info.backend_pid]
        )
    with pytest.raises(OperationalError) as cut:
        turn(one)
    one.pause = lambda seconds: None
    one.recover(cut.value, 1)

    turn(one)
    notify("first")
    turn(one)
    turn(one)
    assert [name for name, *_ in runs()] == ["first"]


def test_sqlite_has_nothing_to_listen_to():
    heard = Listener.for_database("default")

    assert (heard is None) == (connection.vendor == "sqlite")


@pytest.mark.postgres
@pytest.mark.parametrize(("options", "seconds"), [({}, 10), ({"connect_timeout": 3}, 3)])
def test_connecting_is_given_up_after_ten_seconds_in_this_thread_only(options, seconds):
    here = connections["default"].settings_dict
    found = []

    def look():
        connections["default"].settings_dict = {**here, "OPTIONS": {**here.get("OPTIONS", {}), **options}}
        connect_within()
        found.append(connections["default"].get_connection_params()["connect_timeout"])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert found == [seconds]
    assert "connect_timeout" not in connections.settings["default"].get("OPTIONS", {})


# In a server process.


@pytest.fixture
def _stopped():
    yield
    scheduling.stop()


@pytest.mark.usefixtures("_stopped")
def test_in_a_server_it_starts_once_runs_jobs_and_stops():
    due("first")
    asked = time.monotonic()
    scheduling.start_in_process()
    scheduling.start_in_process()
    assert time.monotonic() - asked < 1
    assert sum(thread.name == "cleanup" for thread in threading.enumerate()) == 1

    until(lambda: any(end for *_, end in runs()), "the job")
    scheduling.stop()
    scheduling.stop()
    assert not any(thread.name == "cleanup" for thread in threading.enumerate())
    assert not CleanupLease.objects.filter(job=LEADER, expires_at__gt=Now()).exists()
    assert [name for name, *_ in runs()] == ["first"]

    due("second")
    scheduling.start_in_process()
    until(lambda: len(runs()) == 2, "the other job")


def test_it_is_refused_before_django_is_ready(monkeypatch):
    monkeypatch.setattr(in_process.apps, "ready", False)

    with pytest.raises(ConfigurationError, match=r"wsgi\.py"):
        scheduling.start_in_process()


@pytest.mark.usefixtures("_stopped")
def test_a_bad_configuration_is_refused_at_once(settings):
    settings.SESSION_CLEANUP_HOURS = 0

    with pytest.raises(ConfigurationError, match="SESSION_CLEANUP_HOURS"):
        scheduling.start_in_process()

    del settings.SESSION_CLEANUP_HOURS
    scheduling.start_in_process()
    until(CleanupLease.objects.filter(job=LEADER).exists, "the lead")


SERVER = """
import os, signal, sys, time
import django
django.setup()
from session_cleanup import scheduling
from session_cleanup.conf import conf
if sys.argv[1] == "own":
    def handler(number, frame):
        print("handled", flush=True)
        raise SystemExit(7)
    signal.signal(signal.SIGTERM, handler)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what is in its background ignore it
began = time.monotonic()
scheduling.start_in_process()
print("started", time.monotonic() - began < 1, flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.mark.parametrize(
    ("kind", "number", "status", "said"),
    [("default", 15, -15, set()), ("own", 15, 7, {"handled"}), ("default", 2, -2, set())],
)
@pytest.mark.fault
def test_a_server_ends_as_it_always_does_and_the_scheduler_before_it(kind, number, status, said):
    from tests.engine.processes import ROOT, environment

    due()
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, kind],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout.readline() == "started True\n"
        led = CleanupLease.objects.filter(job=LEADER, expires_at__gt=Now())
        until(led.exists, "the lead")

        os.kill(server.pid, number)
        time.sleep(0.05)
        with suppress(ProcessLookupError):
            os.kill(server.pid, number)
        out, _ = server.communicate(timeout=30)
    finally:
        server.kill()

    assert server.returncode in (status, -number)  # the second one may come when Python handles none any more
    assert set(out.split()) == said
    assert not led.exists()


# The command.


@pytest.mark.parametrize("path", ["/dev/null/x", "/nonexistent/alive"])
def test_a_liveness_file_that_cannot_be_is_refused(path):
    with pytest.raises(CommandError, match="--liveness-file") as refused:
        call_command("cleanup_scheduler", "--liveness-file", path)

    assert refused.value.returncode == 2


def test_the_command_refuses_a_bad_configuration(settings):
    settings.SESSION_CLEANUP_SCHEDULES = {"daily": "never"}

    with pytest.raises(CommandError, match="SESSION_CLEANUP_SCHEDULES") as refused:
        call_command("cleanup_scheduler")

    assert refused.value.returncode == 2
