"""The walk along the heap: what it finds, how it acts, when it is chosen, and that it misses nothing."""

from itertools import pairwise

import pytest
from django.db import OperationalError, connection, models
from django.db.models import F, Q
from django.test.utils import CaptureQueriesContext

from session_cleanup.engine import ladder, runner
from session_cleanup.engine.batches import Batches
from session_cleanup.engine.counts import Counts
from session_cleanup.engine.heaps import InSlice, heap_of
from session_cleanup.engine.pacing import Pace, Size
from session_cleanup.engine.report import RunRequest
from session_cleanup.engine.walks import HeapWalk, choose
from session_cleanup.models import Hold, JobRun, Session, SessionDecline, SessionMember
from session_cleanup.policies import Aged, Deactivate, Delete, Policy
from session_cleanup.policies.claims import Claims
from session_cleanup.policies.registry import jobs
from tests.engine.test_pacing import pace
from tests.factories import DAY, NOW, SECOND, DeclineFactory, MemberFactory, SessionFactory

JOB = "collaborative-expired"
POSTGRES = connection.vendor == "postgresql"
PLACE = "ctid" if POSTGRES else "rowid"


@pytest.fixture
def along_the_heap(settings):
    settings.SESSION_CLEANUP_WALK = "heap"


@pytest.fixture
def slices_of(monkeypatch):
    """slices_of(n): each slice takes n places, however fast they go."""

    def arrange(places):
        monkeypatch.setattr("session_cleanup.engine.drain.Size", lambda first: Size(places, places))
        monkeypatch.setattr(Size, "took", lambda self, units, seconds, target: None)

    return arrange


@pytest.fixture
def fresh_table(db):
    """Without the empty blocks that tests before this one left behind."""
    if POSTGRES:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE session_cleanup_session CASCADE")


def make_sessions(due, share=0.5):
    """Due and kept rows by turns, so that every slice has of both; gives those that are kept."""
    every, first = round(1 / share), SessionFactory(expires_at=NOW - SECOND)
    names = {field.column for field in Session._meta.concrete_fields} - {"id", "uid", "expires_at"}
    same, uid = ", ".join(names), "gen_random_uuid()" if POSTGRES else "lower(hex(randomblob(16)))"
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {due * every - 1}) "
            f"INSERT INTO session_cleanup_session (uid, expires_at, {same}) "
            f"SELECT {uid}, CASE i %% {every} WHEN 0 THEN expires_at ELSE %s END, {same} "
            "FROM session_cleanup_session, n WHERE id = %s",
            [connection.ops.adapt_datetimefield_value(NOW), first.pk],
        )
    return set(Session.objects.filter(expires_at=NOW))


def simple(**more):
    given = {"where": Q(kind="collaborative", is_active=True), "select": Aged("expires_at")}
    return Policy(
        **{"name": "simple", "model": "session_cleanup.Session", "action": Deactivate(), **given, **more}
    )


def on_sessions(action, table="session_cleanup_session"):
    """The statements by which `action` reads or writes the table."""
    with CaptureQueriesContext(connection) as captured:
        action()
    return [query["sql"] for query in captured if f'"{table}"' in query["sql"]]


# What it finds


def test_all_that_is_due_and_nothing_else(run, along_the_heap):
    kept = make_sessions(300)

    job = run(JOB).jobs[0]

    assert (job.walk, job.end_state, job.changed) == ("heap", "drained", 300)
    assert set(Session.objects.active()) == kept
    assert JobRun.objects.get().walk == "heap"


@pytest.mark.parametrize("places", [1, 2, 7, 1000])
def test_slices_of_every_size_do_the_same(run, along_the_heap, slices_of, places):
    slices_of(places)
    kept = make_sessions(60)

    assert run(JOB).jobs[0].changed == 60
    assert set(Session.objects.active()) == kept


@pytest.mark.parametrize("limit", [1, 7, 299, 300, 301])
def test_max_rows_is_exact(run, along_the_heap, limit):
    make_sessions(300)

    job = run(JOB, max_rows=limit).jobs[0]

    assert job.changed == min(limit, 300) == Session.objects.inactive().count()
    assert job.end_state == ("capped" if limit < 300 else "drained")


@pytest.mark.parametrize(("size", "due"), [(1, 20), (100, 300), (400, 300), (1000, 300)])
def test_no_batch_has_more_rows_than_allowed(run, along_the_heap, monkeypatch, size, due):
    make_sessions(due)
    counts = [0]
    entry = Counts.entry

    def note(self, cursor, walk):
        counts.append(self.totals.changed)
        return entry(self, cursor, walk)

    monkeypatch.setattr(Counts, "entry", note)
    run(JOB, batch_size=size)

    assert max(after - before for before, after in pairwise(counts)) <= size
    assert counts[-1] == due


def test_an_empty_table_and_one_with_nothing_due(run, along_the_heap):
    assert run(JOB).jobs[0].end_state == "drained"
    SessionFactory(expires_at=NOW)

    job = run(JOB).jobs[0]

    assert (job.end_state, job.changed) == ("drained", 0)


# How it acts


def test_an_update_of_one_table_is_one_statement_a_slice(run, along_the_heap, declare):
    declare(simple())
    kept = make_sessions(5)

    found = on_sessions(lambda: run("simple"))

    acting = [sql for sql in found if sql.startswith("UPDATE")]
    assert all(PLACE in sql and "SELECT" not in sql for sql in acting)
    assert len([sql for sql in found if PLACE in sql and "min(" not in sql and "OFFSET" not in sql]) == len(
        acting
    )
    assert set(Session.objects.active()) == kept


def test_a_delete_of_rows_that_stand_alone_is_one_statement_a_slice(run, along_the_heap, settings):
    settings.SESSION_CLEANUP_UNDO_DAYS = 0
    DeclineFactory.create_batch(5, last_declined_at=NOW - 99 * DAY)
    kept = DeclineFactory(last_declined_at=NOW)

    found = on_sessions(lambda: run("after-hours-declines"), "session_cleanup_sessiondecline")

    acting = [sql for sql in found if sql.startswith("DELETE")]
    assert acting
    assert all(PLACE in sql and "SELECT" not in sql for sql in acting)
    assert list(SessionDecline.objects.all()) == [kept]


def test_members_go_offline_with_their_session(run, along_the_heap):
    make_sessions(5)
    for session in Session.objects.all():
        MemberFactory(session=session, is_online=True)

    job = run(JOB).jobs[0]

    assert job.related == {"session_cleanup.SessionMember": 5}
    assert {member.session.is_active for member in SessionMember.objects.filter(is_online=True)} == {True}


def test_a_held_row_is_kept_and_counted_once(run, along_the_heap, declare):
    declare(simple())
    make_sessions(3)
    held = Session.objects.filter(expires_at__lt=NOW).first()
    Hold.objects.place(held)

    job = run("simple").jobs[0]

    assert (job.changed, job.skipped, job.end_state) == (2, {"held": 1}, "drained_with_skips")
    held.refresh_from_db()
    assert held.is_active


def test_what_an_earlier_job_of_the_run_changed_is_left_alone(run, along_the_heap, declare):
    first = simple(name="first", action=Deactivate(stamp={"title": "first"}))
    second = simple(name="second", where=Q(kind="collaborative"), action=Delete())
    declare(first, second)
    make_sessions(5)

    report = run("first", "second")

    assert [job.changed for job in report.jobs] == [5, 0]
    assert [job.changed for job in run("first", "second").jobs] == [0, 5]


def test_a_slice_that_takes_too_long_is_asked_for_again_smaller(run, along_the_heap, monkeypatch):
    kept = make_sessions(30)
    sizes = []
    act = Batches.run_whole

    def too_slow_at_first(self, part, cursor, **options):
        sizes.append(part.size)
        if len(sizes) < 3:
            raise OperationalError("interrupted")
        return act(self, part, cursor, **options)

    monkeypatch.setattr(Batches, "run_whole", too_slow_at_first)
    monkeypatch.setattr(ladder, "trouble", lambda error, using: ladder.Trouble.TOO_SLOW)
    job = run(JOB).jobs[0]

    assert sizes[:3] == [sizes[0], sizes[0] // 2, sizes[0] // 4]
    assert job.changed == 30
    assert set(Session.objects.active()) == kept


def test_a_database_that_stays_away_fails_the_job(run, along_the_heap, monkeypatch, settings):
    settings.SESSION_CLEANUP_RETRIES = 3
    make_sessions(5)
    tries = []

    def away(self, part, cursor, **options):
        tries.append(part)
        raise OperationalError("gone away")

    monkeypatch.setattr(Batches, "run_whole", away)
    monkeypatch.setattr(Pace, "back_off", lambda self, attempt: None)
    monkeypatch.setattr(ladder, "trouble", lambda error, using: ladder.Trouble.BUSY)
    job = run(JOB).jobs[0]

    assert (job.end_state, len(tries)) == ("failed", 4)


# Where it goes on


def stop_after(batches, **options):
    """A run that somebody stops after so many batches."""
    request = RunRequest(jobs=(JOB,), **options)
    done = []
    return runner.run(
        request,
        now=NOW,
        stopped=lambda: len(done) >= batches,
        observer=lambda job, changed, share: done.append(changed),
    )


@pytest.fixture
def begins(monkeypatch):
    """The places where the walks along the heap began."""
    found = []
    begin = HeapWalk.__init__

    def note(self, heap, position=None):
        begin(self, heap, position)
        found.append(self.position)

    monkeypatch.setattr(HeapWalk, "__init__", note)
    return found


def test_a_run_that_was_stopped_goes_on_where_it_was(fresh_table, run, along_the_heap, slices_of, begins):
    slices_of(2 if POSTGRES else 20)
    kept = make_sessions(200)
    first = stop_after(2).jobs[0]
    stood = JobRun.objects.get().cursor["at"][0]
    fresh = Session.objects.filter(is_active=False).first()  # behind that place, and due again
    Session.objects.filter(pk=fresh.pk).update(is_active=True, ended_at=None, end_reason="")

    job = run(JOB).jobs[0]

    assert first.end_state == "stopped"
    assert begins[0] < stood == begins[1]
    assert first.changed + job.changed == 201
    assert set(Session.objects.active()) == kept


def test_a_drained_run_leaves_no_place_to_go_on_from(run, along_the_heap, begins):
    make_sessions(5)
    run(JOB)
    began = begins[0]
    begins.clear()
    run(JOB)

    assert begins[0] == began


def test_another_rule_starts_at_the_beginning(fresh_table, run, along_the_heap, slices_of, begins):
    slices_of(2 if POSTGRES else 20)
    make_sessions(200)
    stop_after(2)
    JobRun.objects.update(cursor={**JobRun.objects.get().cursor, "rule": "of old"})

    run(JOB)

    assert begins[1] == begins[0]


@pytest.mark.parametrize("cursor", [["2026-01-04", 7], {}, {"walk": "heap"}, 7, "x"])
def test_a_place_that_nobody_understands_is_none(run, along_the_heap, cursor):
    make_sessions(5)
    stop_after(0)
    JobRun.objects.update(cursor=cursor)

    job = run(JOB).jobs[0]

    assert (job.end_state, job.changed) == ("drained", 5)


@pytest.mark.postgres
def test_a_table_written_anew_starts_at_the_beginning(fresh_table, run, along_the_heap, slices_of, begins):
    slices_of(2)
    make_sessions(200)
    stop_after(2)
    JobRun.objects.update(cursor={**JobRun.objects.get().cursor, "node": 1})

    run(JOB)

    assert begins[1] == 0


def test_a_walk_in_keyset_order_goes_on_too(run, settings, monkeypatch):
    settings.SESSION_CLEANUP_WALK = "keyset"
    make_sessions(20)
    stop_after(2, batch_size=3)
    seen = on_sessions(lambda: run(JOB, batch_size=3))

    first = next(sql for sql in seen if sql.startswith("SELECT") and "ORDER BY" in sql)
    assert ") > (" in first
    assert Session.objects.inactive().count() == 20


# When it is chosen


def policy_named(name):
    return next(policy for policy in jobs() if policy.name == name)


def chosen(policy):
    return choose(policy, Claims("default", NOW))


def analysed(rows):
    rows()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE session_cleanup_session")


@pytest.mark.parametrize(("share", "heap"), [(0.5, True), (0.2, True), (0.005, False)])
def test_a_large_share_goes_along_the_heap_and_a_small_one_does_not(db, share, heap):
    make_sessions(int(6000 * share), share)

    walk = chosen(policy_named(JOB))

    assert (walk is not None) is heap


def test_a_small_table_is_not_worth_a_thought(fresh_table):
    make_sessions(20)
    assert chosen(policy_named(JOB)) is None


def test_without_an_index_even_a_small_share_goes_along_the_heap(db):
    make_sessions(6, 0.001)
    assert chosen(simple(select=Aged("updated_at"))) is not None


def test_the_setting_decides(db, settings):
    make_sessions(3000)
    settings.SESSION_CLEANUP_WALK = "keyset"
    assert chosen(policy_named(JOB)) is None
    Session.objects.all().delete()
    SessionFactory()
    settings.SESSION_CLEANUP_WALK = "heap"
    assert chosen(policy_named(JOB)) is not None


def test_a_run_chooses_after_its_first_full_batch(run):
    make_sessions(3000)

    report = run(JOB)

    assert (report.jobs[0].walk, report.jobs[0].changed) == ("heap", 3000)


# Which tables have a heap


@pytest.fixture
def table(db):
    """table(sql, …): run it, and give a model of the table that it makes."""

    class Thing(models.Model):
        class Meta:
            app_label = "testapp"
            db_table = "things"
            managed = False

    def make(*statements):
        with connection.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
        return Thing

    yield make
    from django.apps import apps

    del apps.all_models["testapp"]["thing"]
    apps.clear_cache()


@pytest.mark.postgres
@pytest.mark.parametrize(
    "sql",
    [
        ["CREATE TABLE things (id int) PARTITION BY HASH (id)"],
        ["CREATE TABLE things (id int)", "CREATE TABLE more () INHERITS (things)"],
        ["CREATE VIEW things AS SELECT 1 AS id"],
        ["CREATE MATERIALIZED VIEW things AS SELECT 1 AS id"],
    ],
    ids=["partitioned", "inherited", "view", "materialized view"],
)
def test_no_heap_where_a_place_names_no_row(table, sql):
    assert heap_of(table(*sql), "default") is None


@pytest.mark.skipif(POSTGRES, reason="rowids are SQLite's")
@pytest.mark.parametrize(
    "sql",
    ["CREATE TABLE things (id integer PRIMARY KEY) WITHOUT ROWID", "CREATE VIEW things AS SELECT 1 AS id"],
)
def test_no_heap_without_rowids(table, sql):
    assert heap_of(table(sql), "default") is None


@pytest.mark.postgres
def test_a_table_of_any_other_kind_has_one(table):
    made = table(
        "CREATE UNLOGGED TABLE things (id int)", "INSERT INTO things SELECT generate_series(1, 1000)"
    )
    heap = heap_of(made, "default")
    assert (heap.begin, heap.end, heap.rows_a_place) == (0, 5, 292)


# The very plan


@pytest.mark.parametrize("kind", ["select", "update", "delete"])
def test_a_slice_is_read_by_its_place(db, kind):
    make_sessions(2000)
    rows = Session.objects.filter(InSlice(F("pk"), (4, 8)), is_active=True, expires_at__lt=NOW)
    act = {
        "select": lambda: list(rows.select_for_update(no_key=True).values_list("pk")),
        "update": lambda: rows.update(is_active=False),
        "delete": lambda: rows._raw_delete("default"),
    }
    with CaptureQueriesContext(connection) as captured:
        act[kind]()
    sql = captured[-1]["sql"]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'' if POSTGRES else 'QUERY PLAN '}{sql}")
        plan = "\n".join(str(row[-1]) for row in cursor.fetchall())

    assert ("Tid Range Scan" if POSTGRES else "INTEGER PRIMARY KEY (rowid>? AND rowid<?)") in plan


def test_the_pace_of_sqlite_is_at_least_fifty_milliseconds(settings):
    def target(sqlite):
        return pace(sqlite=sqlite).target

    assert (target(True), target(False)) == (0.05, 0.025)
    settings.SESSION_CLEANUP_BATCH_MS = 80
    assert (target(True), target(False)) == (0.08, 0.08)


@pytest.mark.parametrize("walk", ["heap", "keyset"])
@pytest.mark.parametrize("action", [Delete(), Deactivate()])
@pytest.mark.parametrize("where", [Q(pk__in=[]), Q(pk__in=[], members__is_online=True)])
def test_a_condition_that_nothing_meets_finds_nothing(run, declare, settings, walk, action, where):
    settings.SESSION_CLEANUP_WALK = walk
    SessionFactory(expires_at=NOW - SECOND)
    where &= Q(is_active=True)
    select = Aged("expires_at")
    declare(
        Policy(name="nothing", model="session_cleanup.Session", select=select, where=where, action=action)
    )

    assert run("nothing").jobs[0].end_state == "drained"
    assert Session.objects.active().exists()
