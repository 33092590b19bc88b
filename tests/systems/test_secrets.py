"""No cookie, token or payload gets anywhere: each command works on planted ones, and all it left is read."""

import hashlib
import logging
from contextlib import contextmanager

import pytest
from django.db import connection
from django.utils import timezone

from session_cleanup.models import CleanupRun, JobRun
from tests.commands.calling import call
from tests.factories import DAY, BrowserFactory, MemberFactory, PresentationFactory

pytestmark = pytest.mark.django_db(transaction=True)
PLANTED = [hashlib.sha256(b"%d" % number).hexdigest()[:40] for number in range(60)]
FORMS = [("--format", form) for form in ("text", "json", "csv", "html")]


def payload(marker):
    return {"cookies": [{"name": "sid", "value": marker}], "storage": {"token": marker, "seen": "x" * 300}}


@pytest.fixture
def planted(settings):
    """Sessions for each job, each with a secret of its own."""
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 3
    now, markers = timezone.now(), iter(PLANTED)
    made = {"created_at": now - 9 * DAY, "last_activity_at": now - 9 * DAY, "is_active": False}
    for _ in range(20):
        BrowserFactory(payload=payload(next(markers)), **made)  # to compress
    for number in range(6):
        BrowserFactory(payload=payload(next(markers)), created_at=now - (80 + number) * DAY)  # expired
        BrowserFactory(payload=payload(next(markers)), holder="1", **made)  # more than a holder may have
        BrowserFactory(payload=[next(markers)], **made)  # invalid
        copied = {"payload": payload(next(markers)), "holder": f"copied {number}", "is_active": False}
        BrowserFactory.create_batch(2, created_at=now - DAY, **copied)
        session = PresentationFactory(payload=payload(next(markers)), created_at=now - 3 * DAY)
        MemberFactory(session=session)
    return PLANTED


@pytest.mark.slow
def test_no_output_log_report_or_record_has_a_secret(planted, caplog, capfd):
    caplog.set_level(logging.DEBUG, "session_cleanup")
    said = []
    for how in (["--stats"], ["--dry-run", "--verbose"], ["--dry-run", "--format", "json"], ["--verbose"]):
        said.append(called("presentations", "browser", *how))
    said += [called(*form, command="session_report") for form in FORMS]
    said += [called("--format", form, command="cleanup_doctor") for form in ("text", "json")]
    acted = {job.job for job in JobRun.objects.filter(changed__gt=0)}
    assert acted >= {"browser-expired", "browser-excess", "browser-invalid", "browser-compress"}
    assert acted >= {"browser-duplicates", "browser-report", "presentations-blank"}
    assert kept_by_us(planted) == []

    run = str(CleanupRun.objects.earliest("pk").pk)
    for how in (["--dry-run"], ["--dry-run", "--format", "json"], []):
        said.append(called(run, *how, command="restore_sessions"))
    said.append(called("session_cleanup.Session.payload", command="unpack_sessions"))
    said += capfd.readouterr()

    assert found(planted, "".join([*said, caplog.text])) == []
    assert kept_by_us(planted) == []


@pytest.mark.postgres
@pytest.mark.parametrize("event", ["DELETE", "INSERT"])
def test_what_the_database_quotes_of_a_row_is_not_repeated(planted, caplog, capfd, event):
    """Its errors show the row that a constraint or a trigger refuses."""
    caplog.set_level(logging.DEBUG, "session_cleanup")
    job = "presentations-blank"
    if event == "INSERT":
        called(job)
    with refused(event):
        said = [called(job, "--format", "json"), called(job)]
        if event == "INSERT":
            said = [called(str(CleanupRun.objects.earliest("pk").pk), command="restore_sessions")]
    said += [repr(each) for each in JobRun.objects.values_list()]
    said += capfd.readouterr()

    assert "SQLSTATE P0001" in "".join(said)
    assert found(planted, "".join([*said, caplog.text])) == []


@contextmanager
def refused(event):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE 'no: %%', {'OLD' if event == 'DELETE' else 'NEW'}::text; END $$; "
            f"CREATE TRIGGER refuse BEFORE {event} ON session_cleanup_session "
            "FOR EACH ROW EXECUTE FUNCTION refuse()",
            [],
        )
        try:
            yield
        finally:
            cursor.execute("DROP FUNCTION refuse CASCADE")


def called(*arguments, command="cleanup_sessions"):
    status, shown = call(*arguments, command=command)
    return f"{status} {shown}"


def found(markers, text):
    return [marker for marker in markers if marker in text]


def kept_by_us(markers):
    """The secrets that stand in a table of ours, but for the sessions themselves; on PostgreSQL also where
    they or their indexes lie on the disk."""
    kept = []
    with connection.cursor() as cursor:
        tables = [name for name in connection.introspection.table_names(cursor) if is_ours(name)]
        assert "session_cleanup_undorecord" in tables
        for table in tables:
            cursor.execute(f"SELECT * FROM {table}")
            kept.append(repr([[bytes(v) if isinstance(v, memoryview) else v for v in row] for row in cursor]))
        if connection.vendor == "postgresql":
            cursor.execute("CHECKPOINT")
            cursor.execute(
                "SELECT pg_read_binary_file(pg_relation_filepath(c.oid)) FROM pg_class c "
                "LEFT JOIN pg_index i ON i.indexrelid = c.oid "
                "JOIN pg_class t ON t.oid = coalesce(i.indrelid, c.oid) "
                "WHERE t.relname = ANY(%s) AND c.relkind IN ('r', 'i')",
                [tables],
            )
            kept += [bytes(content).decode("latin-1") for (content,) in cursor]
    return found(markers, "".join(kept))


def is_ours(table):
    return table.startswith("session_cleanup_") and table != "session_cleanup_session"
