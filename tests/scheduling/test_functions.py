"""Jobs as functions of PostgreSQL: they do what the policies do, and nothing else does it meanwhile."""

import random
import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.db import connection, connections, transaction
from django.utils.connection import ConnectionDoesNotExist

from session_cleanup.engine import runner
from session_cleanup.engine.leases import Lease
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import CleanupLease, CleanupRun, Hold, JobRun, OccurrenceLog, Session
from session_cleanup.policies import Aged, registry
from session_cleanup.policies.actions import Effect, written
from session_cleanup.policies.occurrences import Activate
from session_cleanup.scheduling.functions import NAMES, functions
from session_cleanup.scheduling.health import health_of_jobs
from session_cleanup.scheduling.nowhere import CLOCK, NOWHERE, listening, text
from session_cleanup.scheduling.schedules import timers
from tests.engine.running import Running, another
from tests.factories import DAY, HOUR, SECOND, OccurrenceFactory, SeriesFactory
from tests.scheduling.examples import render

JOBS = list(NAMES)
SAID = [
    *("model", "database", "action", "cutoff", "end_state", "error"),
    *("changed", "related", "skipped", "figures", "batches"),
]
MINUTE = timedelta(minutes=1)
postgres = pytest.mark.postgres


def made():
    return functions(registry.jobs())


def execute(sql, *params, using=connection):
    with using.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchone()[0] if cursor.description else None


def now():
    """What a function takes for the run clock, in the transaction of a test."""
    return execute("SELECT now()")


def install():
    """As the file of pg_cron does it."""
    [sql] = render("pg_cron", timers=timers()).values()
    execute(re.search(r"^SELECT set_config.*?;", sql, re.DOTALL | re.MULTILINE)[0])
    for sql in made().values():
        execute(sql)


@pytest.fixture
def installed(db):
    install()


@pytest.fixture
def committed(transactional_db):
    """The functions, for other connections too."""
    with transaction.atomic():
        install()
    yield
    for name in NAMES.values():
        execute(f"DROP FUNCTION {name}")


def call(job, most="", using=connection):
    return execute(f"SELECT {NAMES[job]}({most})", using=using)


def due(job, count=1, at=None):
    """Sessions that are due for a job, the oldest first."""
    at = at or now()
    ago = DAY if job == "recurring-close" else 30 * MINUTE
    begun = [at - ago + number * SECOND for number in range(count)]
    active = job == "recurring-close"
    return [OccurrenceFactory(starts_at=start, is_active=active) for start in begun]


def last():
    return JobRun.objects.select_related("run").latest("pk")


# Rendering.


def test_no_database_is_asked_and_all_databases_are_told_the_same():
    """There is no database in this test. What a function is made of is as well the same every time."""
    assert list(made()) == JOBS
    assert made() == made()


def test_without_the_preset_there_are_none(settings):
    settings.SESSION_CLEANUP_PRESETS = ["presentations"]

    assert made() == {}


def test_where_the_history_lives_elsewhere_there_are_none(settings):
    class Router:
        def db_for_write(self, model, **hints):
            return "other" if model in (CleanupRun, JobRun) else None

    settings.DATABASE_ROUTERS = [Router()]

    assert made() == {}


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("aware", [True, False])
def test_a_moment_is_so_far_from_the_clock(settings, aware, zone):
    expected = made()
    settings.USE_TZ, settings.TIME_ZONE = aware, zone
    cutoff = Aged("expires_at", older_than=timedelta(days=90, microseconds=5)).cutoff(CLOCK)

    assert text(("a < %s AND b LIKE '50%%'", (cutoff,))) == (
        "a < run_clock + interval '-7776000.000005 s' AND b LIKE '50%'"
    )
    assert made() == expected


def test_nobody_is_left_listening():
    with pytest.raises(KeyError), listening():
        raise KeyError

    with pytest.raises(ConnectionDoesNotExist):
        connections[NOWHERE]


def test_an_action_that_depends_on_what_it_met_is_no_function():
    class Whimsical(Activate):
        def apply(self, rows, claims, write=written):
            if met := write(rows, {"is_active": True}):
                write(rows, {"title": "met"})
            return Effect(met)

    job = replace(registry.select(["recurring-activate"], None)[0], action=Whimsical())

    with pytest.raises(AssertionError, match="may not depend on what it met"):
        functions([job])


# The same as the policies.


def history(job):
    record = JobRun.objects.select_related("run").filter(job=job).latest("pk")
    run, lease = record.run, CleanupLease.objects.get(job=job)
    return {name: getattr(record, name) for name in SAID} | {
        "run": (run.status, run.exit_status, run.started_at, run.options["jobs"]),
        "lease": (lease.fence, lease.run_id == run.pk),
    }


def state():
    events = OccurrenceLog.objects.order_by("session_uid", "event")
    columns = [field.attname for field in OccurrenceLog._meta.concrete_fields if not field.primary_key]
    return list(Session.objects.order_by("pk").values()), list(events.values_list(*columns))


def tried(do, job):
    """What it does; then it is as if it had not been."""
    before = connection.savepoint()
    do()
    found = state(), history(job)
    connection.savepoint_rollback(before)
    return found


def random_sessions(chance, clock):
    """A table of sessions of all kinds and states, at and around the clock; some are under a hold."""
    moments = [-2 * DAY, -HOUR, -SECOND, timedelta(microseconds=-1), 0 * SECOND, SECOND, HOUR]
    series = [None, SeriesFactory(), SeriesFactory(name="50% 'Yoga' $function$")]

    def moment():
        return clock + chance.choice(moments)

    for number in range(chance.randrange(25)):
        ended = chance.choice([None, None, None, moment()])
        row = OccurrenceFactory(
            kind=chance.choice(["recurring"] * 5 + ["collaborative", "presentation"]),
            title=chance.choice(["", f"100% \\ '{number}'"]),
            series=chance.choice(series),
            is_active=ended is None and chance.choice([True, False]),
            ended_at=ended,
            end_reason="" if ended is None else chance.choice(["ended", "cancelled"]),
            starts_at=moment(),
            visible_at=chance.choice([None, *[moment() for _ in range(6)]]),
            expires_at=chance.choice([None, *[moment() for _ in range(6)]]),
            occurrence=datetime(2026, 1, 1) + number * DAY,
        )
        if chance.random() < 0.15:
            Hold.objects.place(row, until=chance.choice([None, moment()]))


@postgres
@pytest.mark.parametrize("seed", range(12))
def test_the_tables_are_the_same_after_the_function_and_after_the_policy(installed, seed):
    """Over random tables, both jobs one after the other; sessions, log, history and lease."""
    chance = random.Random(seed)
    random_sessions(chance, clock := now())
    for job in chance.sample(JOBS, 2):
        by_function = tried(lambda job=job: call(job), job)
        by_policy = tried(lambda job=job: runner.run(RunRequest(jobs=(job,)), now=clock), job)

        assert by_function == by_policy
        call(job)


@postgres
def test_the_random_tables_are_worth_comparing(installed):
    """Among them are rows of every kind that the jobs tell apart."""
    seen = set()
    for seed in range(12):
        before = connection.savepoint()
        random_sessions(random.Random(seed), now())
        for job in JOBS:
            call(job)
            record = last()
            seen |= {(job, what) for what in [*record.figures, *record.skipped]}
        connection.savepoint_rollback(before)

    assert seen == {
        *((JOBS[0], what) for what in ("activated", "missed", "held")),
        *((JOBS[1], what) for what in ("closed", "missed", "held")),
    }


@postgres
@pytest.mark.parametrize("job", JOBS)
def test_called_again_it_changes_nothing(installed, job):
    due(job, 3)

    assert (call(job), call(job)) == (3, 0)
    assert (last().end_state, last().changed, last().batches) == ("drained", 0, 0)
    assert OccurrenceLog.objects.count() == 3


@postgres
def test_a_limit_ends_a_call_and_the_next_one_goes_on_with_the_oldest_first(installed):
    rows = due("recurring-close", 5)

    assert call("recurring-close", 3) == 3
    assert list(Session.objects.ended().order_by("pk")) == rows[:3]
    assert (last().end_state, last().run.status, last().run.exit_status) == ("capped", "incomplete", 3)
    assert last().run.options == {"jobs": ["recurring-close"], "max_rows": 3}
    assert call("recurring-close", 3) == 2
    assert (last().end_state, last().run.status, last().run.exit_status) == ("drained", "ok", 0)


@postgres
@pytest.mark.parametrize("most", ["0", "-1", "NULL"])
def test_a_limit_that_is_none_is_refused(installed, most):
    with pytest.raises(Exception, match=f"most is {most}. Give the number"), transaction.atomic():
        call("recurring-close", most)


# The lease and the history.


@postgres
def test_while_a_process_runs_the_job_nothing_happens(installed):
    due("recurring-close")
    lease = Lease.take("recurring-close", "default", run_id=7)
    before = state()

    assert call("recurring-close") is None

    record = last()
    assert state() == before
    assert (record.end_state, record.run.status, record.run.exit_status) == ("busy", "busy", 4)
    assert record.error == "Job 'recurring-close' is being run by another process. Wait for it."
    lease.renew()
    lease.release()
    assert call("recurring-close") == 1


@postgres
def test_the_history_says_what_ran_and_a_scheduler_leaves_it_alone(installed):
    began = now() - MINUTE
    due("recurring-activate", 2)
    call("recurring-activate")

    run, lease = last().run, CleanupLease.objects.get(job="recurring-activate")
    pid = execute("SELECT pg_backend_pid()")
    assert (run.trigger, run.host, run.pid, run.actor) == (
        "sql",
        "PostgreSQL",
        pid,
        execute("SELECT session_user"),
    )
    assert last().seconds > 0
    assert run.finished_at > run.started_at
    assert (lease.holder, lease.run_id) == (f"PostgreSQL (pid {pid})", run.pk)
    left = runner.run(RunRequest(jobs=("recurring-activate",), unless_since=began))
    assert left.jobs[0].end_state == "busy"
    assert "was left to PostgreSQL (pid" in left.jobs[0].error


@postgres
def test_the_job_is_well_as_long_as_the_function_is_called(installed):
    call("recurring-close")

    health = {job.name: job for job in health_of_jobs()[1]}

    assert health["recurring-close"].age < MINUTE
    assert not health["recurring-close"].stale
    assert health["recurring-activate"].last_success is None


@postgres
def test_a_call_that_fails_changes_nothing_and_says_so_in_the_history(installed):
    due("recurring-close", 3)
    execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'a secret: %', NEW.title; END $$"
    )
    execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON session_cleanup_session "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    before = state()

    assert call("recurring-close") is None

    record = last()
    assert state() == before
    assert (record.end_state, record.changed, record.batches) == ("failed", 0, 0)
    assert (record.figures, record.run.status, record.run.exit_status) == ({}, "failed", 1)
    assert record.error == "SQLSTATE P0001; the server's log says more"
    execute("DROP TRIGGER refuse ON session_cleanup_session")
    assert call("recurring-close") == 3


# Others at work.


@pytest.fixture
def theirs(committed):
    """Another session of the database."""
    with another() as connection:
        yield connection


@postgres
def test_a_row_that_somebody_has_locked_is_passed_over(theirs):
    locked, other = due("recurring-close", 2)
    execute("BEGIN", using=theirs)
    execute("SELECT FROM session_cleanup_session WHERE id = %s FOR UPDATE", locked.pk, using=theirs)

    assert call("recurring-close") == 1

    assert set(Session.objects.ended()) == {other}
    assert (last().end_state, last().skipped) == ("drained_with_skips", {"locked": 1})


@postgres
def test_of_two_calls_at_once_one_does_the_work_and_the_other_waits_for_nothing(theirs):
    call("recurring-close")  # the first of all makes the lease
    due("recurring-close", 2)
    execute("BEGIN", using=theirs)
    call("recurring-close", using=theirs)
    execute("SET lock_timeout = '10ms'")

    assert call("recurring-close") is None

    execute("RESET lock_timeout")
    execute("COMMIT", using=theirs)
    assert (last().end_state, OccurrenceLog.objects.count()) == ("busy", 2)


@postgres
def test_a_process_that_comes_meanwhile_does_not_do_it_again(theirs):
    """It waits for the end of the call, which is one transaction."""
    due("recurring-close", 2)
    execute("BEGIN", using=theirs)
    call("recurring-close", using=theirs)
    meanwhile = Running("recurring-close", now=None)
    meanwhile.join(0.5)
    assert meanwhile.is_alive()
    execute("COMMIT", using=theirs)

    job = meanwhile.job()
    assert (job.end_state, job.changed) == ("drained", 0)
    assert OccurrenceLog.objects.count() == 2


@postgres
def test_a_call_whose_server_process_dies_leaves_nothing_behind(theirs):
    due("recurring-close", 2)
    before = state()
    execute("BEGIN", using=theirs)
    assert call("recurring-close", using=theirs) == 2
    assert execute("SELECT pg_terminate_backend(%s, 5000)", theirs.connection.info.backend_pid)

    assert state() == before
    assert not JobRun.objects.exists()
    assert call("recurring-close") == 2


@postgres
def test_whoever_calls_it_it_finds_the_tables_of_the_project(theirs):
    """Not those of a schema that comes first in the caller's search path, nor temporary ones."""
    due("recurring-close", 2)
    for table in ("evil.session_cleanup_session", "pg_temp.session_cleanup_session"):
        execute("CREATE SCHEMA IF NOT EXISTS evil", using=theirs)
        execute(f"CREATE TABLE {table} (LIKE public.session_cleanup_session)", using=theirs)
    execute("SET search_path = evil", using=theirs)
    try:
        assert execute("SELECT public.auto_close_expired_sessions()", using=theirs) == 2
    finally:
        execute("DROP SCHEMA evil CASCADE", using=theirs)
    assert Session.objects.ended().count() == 2
