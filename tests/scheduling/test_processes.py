"""Schedulers and callers as real processes on one database: each job runs once, whoever dies."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from session_cleanup.models import CleanupLease, CleanupRun, JobRun, Session
from session_cleanup.policies import registry
from session_cleanup.scheduling.agenda import last_starts
from session_cleanup.scheduling.leadership import LEADER
from tests.engine.processes import ROOT, dawdling, environment, in_pg_sleep, start
from tests.faults.children import until

SECRET = "correct-horse-battery"
JOB = "collaborative-expired"
SECONDS = 5  # of a lease

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]


@pytest.fixture
def scheduler():
    """scheduler(BATCH_SIZE=…): a process that is ended with the test."""
    children = []

    def scheduler(*arguments, **settings):
        short = {"LEASE_SECONDS": SECONDS, "STATEMENT_TIMEOUT_MS": 4000, "JITTER_SECONDS": 0}
        children.append(start(*arguments, command="cleanup_scheduler", **short, **settings))
        return children[-1]

    yield scheduler
    for child in children:
        if child.poll() is None:
            child.kill()
        child.communicate()


def sessions(count):
    """Expired ones, which the daily job deactivates."""
    week = timezone.now() - timedelta(days=7)
    Session.objects.bulk_create(Session(kind="collaborative", expires_at=week) for _ in range(count))


def due(*names):
    """Make it that these jobs last started two days ago, and all others a moment ago."""
    last_starts(registry.jobs())
    CleanupLease.objects.filter(job__in=names).update(since=Now() - timedelta(days=2))


def led_by(*children):
    """The child that leads, if one of them does."""
    row = CleanupLease.objects.filter(job=LEADER, expires_at__gt=Now()).first()
    return next((child for child in children if row and f"(pid {child.pid})" in row.holder), None)


def post(url):
    request = urllib.request.Request(url, method="POST", headers={"Authorization": f"Bearer {SECRET}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.postgres
def test_two_schedulers_and_a_caller_at_once_run_each_job_once(scheduler, live_server, settings):
    settings.SESSION_CLEANUP_CRON_SECRETS = [SECRET]
    settings.SESSION_CLEANUP_BATCH_SIZE = 5
    settings.SESSION_CLEANUP_PAUSE_MS = 20
    settings.SESSION_CLEANUP_PRESETS = presets = ["collaborative", "after_hours", "browser"]
    daily = [job.name for job in registry.jobs() if job.group == "daily"]
    assert daily[0] == JOB  # which takes its time, so that all three are at it together
    sessions(500)
    due(*daily)
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(f"{live_server.url}/cleanup/health/")  # a server's first answer is slow

    children = [scheduler(BATCH_SIZE=5, PAUSE_MS=20, PRESETS=presets) for _ in range(2)]
    until(lambda: led_by(*children), "the lead")
    code, said = post(f"{live_server.url}/cleanup/cron/daily/")
    until(lambda: runs_of(daily) >= set(daily), "every job")
    until(lambda: not CleanupRun.objects.filter(status="running").exists(), "the end of every run")

    real = list(JobRun.objects.exclude(end_state="busy").values_list("job", flat=True))
    assert sorted(real) == sorted(daily)
    assert code == (409 if any(job["end_state"] == "busy" for job in said["jobs"]) else 200)
    assert sum(JobRun.objects.filter(job=JOB).values_list("changed", flat=True)) == 500
    assert not Session.objects.filter(is_active=True).exists()


def runs_of(names):
    return set(JobRun.objects.filter(job__in=names).exclude(end_state="busy").values_list("job", flat=True))


@pytest.mark.postgres
def test_when_the_leader_is_killed_another_goes_on_within_its_lease(scheduler, settings):
    settings.SESSION_CLEANUP_LEASE_SECONDS = SECONDS
    sessions(2000)
    due(JOB)
    children = [scheduler(BATCH_SIZE=5, PAUSE_MS=20) for _ in range(2)]
    leader = until(lambda: led_by(*children), "the lead")
    [other] = [child for child in children if child is not leader]
    until(JobRun.objects.filter(job=JOB, batches__gte=3).exists, "a few batches")

    leader.kill()
    killed = time.monotonic()
    until(lambda: led_by(other), "another leader", seconds=SECONDS + 2)
    assert time.monotonic() - killed <= SECONDS + 1

    resumed = JobRun.objects.filter(job=JOB, run__trigger="resumed")
    until(resumed.exists, "the job", seconds=2 * SECONDS)
    first = JobRun.objects.filter(job=JOB).earliest("pk")
    assert first.state == "died"
    until(resumed.filter(end_state="drained").exists, "its end", seconds=60)
    assert first.changed + resumed.get().changed == 2000
    assert JobRun.objects.filter(job=JOB).count() == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_the_batch_under_way(scheduler, number, tmp_path):
    alive = tmp_path / "alive"
    sessions(2000)
    due(JOB)
    child = scheduler("--liveness-file", str(alive), BATCH_SIZE=5, PAUSE_MS=20)
    until(JobRun.objects.filter(job=JOB, batches__gte=3).exists, "a few batches")
    assert time.time() - alive.stat().st_mtime < 3

    child.send_signal(number)
    _, errors = child.communicate(timeout=20)

    assert (child.returncode, errors) == (0, "")
    row = JobRun.objects.get(job=JOB)
    assert row.end_state == "stopped"
    assert 0 < row.changed == Session.objects.filter(is_active=False).count() < 2000
    assert not CleanupLease.objects.filter(expires_at__gt=Now()).exists()
    assert not alive.exists()


@pytest.mark.postgres
def test_a_second_signal_ends_it_at_once(scheduler):
    sessions(1)
    due(JOB)
    with dawdling(seconds=20):
        child = scheduler(BATCH_SIZE=1)
        until(in_pg_sleep, "the batch")
        child.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=5)

    assert child.returncode == 128 + signal.SIGTERM
    assert Session.objects.filter(is_active=True).count() == 1


@pytest.mark.postgres
def test_a_database_that_goes_away_and_comes_back_is_taken_up_again(scheduler):
    due()
    child = scheduler()
    until(lambda: led_by(child), "the lead")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    time.sleep(1)

    def asked():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify('session_cleanup', %s)", [JOB])
        return JobRun.objects.filter(job=JOB, run__trigger="notify").exists()

    until(asked, "the job", every=0.5)
    child.terminate()
    _, errors = child.communicate(timeout=20)
    assert "the database failed" in errors
    assert child.returncode == 0


def test_a_database_that_is_not_there_at_the_start_is_waited_for(scheduler, tmp_path):
    alive = tmp_path / "alive"
    url = "postgres://nobody@127.0.0.1:1/nothing" if connection.vendor == "postgresql" else None
    if url is None:
        url = f"sqlite:///{tmp_path}/nothing/here.sqlite3"
    before = os.environ["DATABASE_URL"]
    child = _elsewhere(url, str(alive))
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(child.stderr))
    reader.start()
    try:
        until(alive.exists, "a sign of life")
        until(lambda: any("the database failed" in line for line in lines), "a warning")
        assert child.poll() is None
    finally:
        child.terminate()
        child.wait(20)
        reader.join(20)
        child.stderr.close()
    assert os.environ["DATABASE_URL"] == before
    assert child.returncode == 0
    assert not any("Traceback" in line for line in lines)


def _elsewhere(url, alive):
    return subprocess.Popen(
        [sys.executable, "manage.py", "cleanup_scheduler", "--liveness-file", alive],
        cwd=ROOT,
        env=environment() | {"DATABASE_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
