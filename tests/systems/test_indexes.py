"""Each index is the one that a shipped policy's own query uses, on a filled and analysed table."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from session_cleanup.analytics import monitoring
from session_cleanup.engine import walks
from session_cleanup.engine.walks import KeysetWalk
from session_cleanup.models import (
    CleanupRun,
    DeviceFingerprint,
    OccurrenceLog,
    Session,
    SessionDecline,
    SessionProfile,
    SessionReport,
    SessionSeries,
    UndoRecord,
    UndoSet,
)
from session_cleanup.policies import registry
from session_cleanup.policies.claims import Claims
from tests.factories import NOW

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

# What models/sessions.py and models/history.py name beside each index.
INDEX_OF = {
    "presentations-blank": "idx_sessions_blank_cleanup",
    "collaborative-expired": "idx_sessions_expired",
    "after-hours-close": "idx_sessions_open_expired",
    "after-hours-declines": "idx_declines_last",
    "after-hours-fingerprints": "idx_fingerprints_session",
    "after-hours-profiles": "idx_profiles_user",
    "after-hours-ended": "idx_sessions_ended",
    "browser-expired": "idx_sessions_created",
    "browser-orphaned": "idx_sessions_unheld",
    "browser-excess": "idx_sessions_holder",
    "browser-invalid": "idx_sessions_suspect",
    "browser-compress": "idx_sessions_packable",
    "browser-duplicates": "idx_sessions_digest",
    "recurring-activate": "idx_sessions_scheduled",
    "recurring-close": "idx_sessions_unclosed",
    "recurring-archive": "idx_sessions_ended",
    "housekeeping-history": "started_at",
    "housekeeping-undo": "idx_undo_expires",
    "housekeeping-undo-sets": "expires_at",
    "housekeeping-reports": "idx_reports_created",
    "housekeeping-occurrences": "idx_occurrences_over",
}
# Those that answer other questions: what is coming up, and what a series has.
OF_NO_JOB = {"idx_sessions_upcoming", "idx_sessions_series"}
IN_WINDOWS = ("prints", "files", "excess", "duplicates")
ROWS = 60_000

# All five kinds, a year of them; n % 5 is the kind. Of each kind most rows are over and done with,
# some are alive, and about one in a hundred is due. Of the recurring ones that are alive half have not begun.
SESSIONS = f"""
INSERT INTO session_cleanup_session
    (uid, kind, title, holder_type, is_active, created_at, updated_at, last_activity_at, expires_at,
     ended_at, end_reason, has_blank_presentation, has_topic, has_user_content, settings, holder, payload,
     payload_valid, payload_digest, payload_checked_at, starts_at, visible_at, series_id)
SELECT gen_random_uuid(),
    (ARRAY['presentation', 'collaborative', 'after_hours', 'browser', 'recurring'])[1 + n %% 5],
    'Session ' || n, '', NOT over AND NOT begins, made, made, made,
    CASE WHEN due THEN %(now)s - interval '1 hour' WHEN over THEN made + interval '7 days'
         ELSE %(now)s + interval '3 days' END,
    CASE WHEN over THEN made + interval '7 days' END, '',
    n %% 5 = 0, n %% 5 = 0 AND NOT due, false, '{{}}',
    CASE WHEN n / 5 %% 20 > 0 THEN n / 5 %% 1000 END,
    CASE WHEN n %% 5 = 3 THEN jsonb_build_object('cookies', repeat('x', 200)) END,
    n %% 5 = 3 OR NULL, CASE WHEN n %% 5 = 3 THEN md5((n / 5 %% 6000)::text) END,
    CASE WHEN n %% 5 = 3 AND NOT due THEN made END,
    CASE WHEN n %% 5 = 4 THEN made END,
    CASE WHEN begins AND n / 5 %% 100 = 12 THEN %(now)s - interval '1 hour'
         WHEN begins THEN %(now)s + interval '3 days' WHEN n %% 5 = 4 THEN made END,
    CASE WHEN n %% 5 = 4 THEN (SELECT min(id) FROM session_cleanup_sessionseries) + n / 5 %% 2000 END
FROM (
    SELECT n, n / 5 %% 100 = 0 AS due, n / 5 %% 100 > 20 AS over,
        n %% 5 = 4 AND n / 5 %% 100 BETWEEN 11 AND 20 AS begins,
        %(now)s - interval '1 year' * (n::float / {ROWS}) AS made
    FROM generate_series(1, {ROWS}) n
) AS generated
"""
SERIES = """
INSERT INTO session_cleanup_sessionseries
    (uid, name, kind, rule, time_zone, first_date, start_time, duration, is_active, title_pattern, settings,
     created_at, updated_at, problem)
SELECT gen_random_uuid(), 'Series ' || n, 'recurring', 'FREQ=DAILY', 'UTC', '2026-01-01', '09:00', '1 hour',
    true, '', '{}', %(now)s, %(now)s, '' FROM generate_series(1, 2000) n
"""
# Two years and a bit of them; the newest are of sessions to come.
LOG = """
INSERT INTO session_cleanup_occurrencelog
    (event, at, series_name, session_uid, session_title, over_at)
SELECT 'closed', %(now)s, '', gen_random_uuid(), '',
    %(now)s + interval '30 days' - interval '775 days' * (n::float / 60000)
FROM generate_series(1, 60000) n
"""
USERS = """
INSERT INTO auth_user
    (username, password, first_name, last_name, email, is_superuser, is_staff, is_active, date_joined)
SELECT 'user' || n, '', '', '', '', false, false, true, %(now)s FROM generate_series(1, 150000) n
"""
# One in a hundred refers to a row that is gone. More than a few of a walk's windows, of 20,000 rows.
FINGERPRINTS = """
INSERT INTO session_cleanup_devicefingerprint (session_id, digest, platform, created_at)
SELECT CASE WHEN n %% 100 = 0 THEN -n ELSE (SELECT min(id) FROM session_cleanup_session) + n / 3 END,
    'digest', '', %(now)s FROM generate_series(1, 150000) n
"""
PROFILES = """
INSERT INTO session_cleanup_sessionprofile (user_id, display_name, created_at)
SELECT CASE WHEN n %% 100 = 0 THEN -n ELSE (SELECT min(id) FROM auth_user) + n END,
    'Name', %(now)s FROM generate_series(1, 149000) n
"""
DECLINES = """
INSERT INTO session_cleanup_sessiondecline
    (decliner_id, declined_id, count, created_at, last_declined_at)
SELECT first + n, first + n + 1, 1, %(now)s - interval '90 days',
    %(now)s - interval '7 days 2 hours' * (n::float / 28000)
FROM generate_series(1, 28000) n, (SELECT min(id) AS first FROM auth_user) AS users
"""
RUNS = """
INSERT INTO session_cleanup_cleanuprun
    (status, trigger, actor, host, pid, options, started_at)
SELECT 'ok', 'command', '', 'web-1', 1, '{}', %(now)s - interval '91 days' * (n::float / 30000)
FROM generate_series(1, 30000) n
"""
REPORTS = """
INSERT INTO session_cleanup_sessionreport (month, created_at, metrics, recommendations)
SELECT date '1900-01-01' + n, %(now)s - interval '91 days' * (n::float / 30000), '{}', '[]'
FROM generate_series(1, 30000) n
"""
# A run a day, whose records are kept for a year; those of the last one have not been purged yet.
RECORDS = """
INSERT INTO session_cleanup_undorecord (set_id, expires_at, data)
SELECT n / 250, %(now)s + (interval '1 day' * (n / 250)) - interval '1 minute', '(1)'
FROM generate_series(1, 60000) n
"""
SETS = """
INSERT INTO session_cleanup_undoset
    (run_id, job, model, kind, columns, sealed, left_out, restored, expires_at)
SELECT n, '', '', 'deleted', '[]', '[]', '[]', 0, %(now)s - interval '91 days' * (n::float / 30000)
FROM generate_series(1, 30000) n
"""


@pytest.fixture(scope="module")
def filled(django_db_setup, django_db_blocker):
    """Tables as they are in a project that has been running for a year; removed at the end."""
    models = [
        *(Session, DeviceFingerprint, SessionProfile, SessionDecline, CleanupRun),
        *(SessionReport, UndoRecord, UndoSet, SessionSeries, OccurrenceLog),
    ]
    tables = ", ".join(f'"{model._meta.db_table}"' for model in models)
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables}, auth_user CASCADE")  # with what tests before left dead in them
        fills = (USERS, SERIES, SESSIONS, FINGERPRINTS, PROFILES, DECLINES, RUNS, REPORTS, RECORDS, SETS, LOG)
        for fill in fills:
            cursor.execute(fill, {"now": NOW})
        cursor.execute(f"ANALYZE {tables}, auth_user")
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables}, auth_user CASCADE")


def queries_of(job, monkeypatch):
    """The very statements of the first two steps of a walk."""
    [policy] = registry.select([job])
    walk = KeysetWalk(policy, Claims("default", NOW))
    monkeypatch.setattr(walks, "WINDOW", 5_000)
    with CaptureQueriesContext(connection) as captured:
        walk.position = walk.step(100).end
        walk.step(100)
    assert walk.position is not None
    return [query["sql"] for query in captured]


def plan_of(sql):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql.replace('%', '%%')}", [])
        found = cursor.fetchone()[0]
    return (found if isinstance(found, list) else json.loads(found))[0]["Plan"]


def nodes_of(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes_of(child)


def scans_of(sql, table):
    """The kinds of the nodes that read `table`, and the indexes that the whole statement reads."""
    nodes = list(nodes_of(plan_of(sql)))
    kinds = {node["Node Type"] for node in nodes if node.get("Relation Name") == table}
    return kinds, {node["Index Name"] for node in nodes if "Index Name" in node}


def test_every_shipped_job_is_looked_at_here():
    assert [job.name for job in registry.policies_among(registry.jobs())] == list(INDEX_OF)


@pytest.mark.parametrize(("job", "index"), INDEX_OF.items())
def test_the_walk_reads_its_table_by_the_index_named_for_it(filled, db, monkeypatch, job, index):
    [policy] = registry.select([job])
    for sql in queries_of(job, monkeypatch):
        kinds, used = scans_of(sql, policy.get_model()._meta.db_table)

        assert kinds, sql
        assert "Seq Scan" not in kinds, sql
        assert any(index in name for name in used), (used, sql)


@pytest.mark.parametrize("job", [job for job in INDEX_OF if not job.endswith(IN_WINDOWS)])
def test_a_walk_by_age_stops_after_the_rows_it_wants(filled, db, monkeypatch, job):
    """It sorts nothing but rows of one moment by their keys; a search for orphans has its window."""
    for sql in queries_of(job, monkeypatch):
        assert not [node for node in nodes_of(plan_of(sql)) if node["Node Type"] == "Sort"], sql


@pytest.mark.parametrize(
    ("section", "index"),
    [
        ("upcoming", "idx_sessions_upcoming"),
        ("log", "session_cleanup_occurrencelog_pkey"),
        ("series", "session_cleanup_sessionseries_pkey"),
        ("per-series", "idx_sessions_series"),
    ],
)
def test_what_monitoring_shows_is_read_in_the_order_of_its_index(filled, db, section, index):
    with CaptureQueriesContext(connection) as captured:
        monitoring.SECTIONS[section]("default", NOW)

    [query] = captured
    nodes = list(nodes_of(plan_of(query["sql"])))
    assert not {"Seq Scan", "Sort"} & {node["Node Type"] for node in nodes}, nodes
    assert index in {node.get("Index Name") for node in nodes}


@pytest.mark.parametrize("model", [Session, DeviceFingerprint, SessionProfile, SessionDecline])
def test_no_index_is_there_that_no_policy_uses(model):
    assert {index.name for index in model._meta.indexes} <= set(INDEX_OF.values()) | OF_NO_JOB


def test_the_rows_of_this_test_are_due_in_a_realistic_share(filled, db):
    for job in registry.policies_among(registry.jobs()):
        claims = Claims("default", NOW)
        share = job.matching(claims).count() / job.get_model()._base_manager.count()

        assert 0.001 < share < 0.25, (job.name, share)
