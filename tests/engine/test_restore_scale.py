"""A large run with secrets comes back, in batches: the tables are compared as text in the order of keys."""

import hashlib
import json
import os

import pytest
from django.db import connection

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import Hold, UndoRecord
from tests.engine.test_restore import OURS, take_back
from tests.engine.test_undo import KEY
from tests.factories import NOW, UserFactory

COUNT = int(os.environ.get("RESTORE_ROWS", "10000"))  # 100,000 take two minutes
FILL = f"""
INSERT INTO session_cleanup_session
    (uid, kind, title, holder_type, is_active, created_at, updated_at, last_activity_at, end_reason,
     has_blank_presentation, has_topic, has_user_content, payload, settings)
SELECT gen_random_uuid(), 'presentation', 'Session "' || n || '" \\', '', true, %(now)s - interval '3 days',
    %(now)s - n * interval '1 microsecond', %(now)s, '', true, n %% 10 = 0, false,
    CASE WHEN n %% 7 > 0 THEN jsonb_build_object('cookies', jsonb_build_array(
        jsonb_build_object('name', 'sid', 'value', md5(n::text) || md5('x' || n)))) END,
    jsonb_build_object('n', n, 'text', 'a, (b) "c"')
FROM generate_series(1, {COUNT}) n;
INSERT INTO session_cleanup_sessionmember (session_id, user_id, permission, is_online, joined_at)
SELECT id, %(user)s, 'view', id %% 2 = 0, %(now)s FROM session_cleanup_session
"""


def digests():
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if not table.startswith(OURS):
                cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
                found[table] = hashlib.sha256(json.dumps(cursor.fetchall()).encode()).hexdigest()
    return found


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_many_sessions_with_members_and_payloads(settings):
    settings.SESSION_CLEANUP_UNDO_KEYS = [KEY]
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"now": NOW, "user": UserFactory().pk})
    before = digests()

    report = runner.run(RunRequest(jobs=("presentations-blank",)), now=NOW)
    due = COUNT * 9 // 10
    assert (report.jobs[0].changed, report.jobs[0].batches > 10) == (due, True)
    assert digests() != before
    done = take_back(report.run)

    assert digests() == before
    assert not done.jobs[0].left_alone
    assert Hold.objects.count() == 2 * due
    assert not UndoRecord.objects.exists()
