"""System 2: collaborative sessions. The lessons of the original stand here by name."""

import re
from datetime import datetime
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from session_cleanup.models import Session, SessionMember
from session_cleanup.policies import registry
from session_cleanup.reporting import text
from session_cleanup.scheduling.schedules import next_times, schedule_of
from tests.factories import DAY, NOW, SECOND, MemberFactory, SessionFactory

JOB = "collaborative-expired"


def output_of(*arguments, **options):
    out = StringIO()
    call_command("cleanup_sessions", *arguments, stdout=out, **options)
    return out.getvalue()


def dump():
    return [
        *Session.objects.order_by("pk").values(),
        *SessionMember.objects.order_by("pk").values(),
    ]


def test_due_just_past_the_cutoff_and_not_at_it(run):
    due = SessionFactory(expires_at=NOW - SECOND)
    SessionFactory(expires_at=NOW)
    SessionFactory(expires_at=NOW + SECOND)
    SessionFactory(expires_at=None)

    report = run(JOB)

    assert list(Session.objects.inactive()) == [due]
    assert report.jobs[0].end_state == "drained"


def test_an_expired_session_is_ended_by_the_clock_of_the_run_and_kept(run):
    session = SessionFactory(expires_at=NOW - DAY)

    run(JOB)

    session.refresh_from_db()
    assert (session.is_active, session.end_reason) == (False, "expired")
    assert (session.ended_at, session.updated_at) == (NOW, NOW)
    assert session.expires_at == NOW - DAY


def test_members_go_offline_although_their_session_changed_first(run):
    expired = SessionFactory(expires_at=NOW - SECOND)
    MemberFactory.create_batch(2, session=expired)
    MemberFactory(session=expired, is_online=False)
    elsewhere = MemberFactory(session=SessionFactory(expires_at=NOW + DAY))

    report = run(JOB)

    assert list(SessionMember.objects.filter(is_online=True)) == [elsewhere]
    assert report.jobs[0].related == {"session_cleanup.SessionMember": 2}


def test_a_preview_counts_the_same_members(preview):
    expired = SessionFactory(expires_at=NOW - SECOND)
    MemberFactory(session=expired)
    MemberFactory(session=expired, is_online=False)

    report = preview(JOB)

    assert (report.jobs[0].due, report.jobs[0].changed) == (1, 0)
    assert report.jobs[0].related == {"session_cleanup.SessionMember": 1}


def test_nothing_is_deleted_and_a_second_run_changes_nothing(run):
    MemberFactory.create_batch(3, session__expires_at=NOW - DAY)
    run(JOB)
    before = dump()

    report = run(JOB, now=NOW + SECOND)

    assert (report.jobs[0].changed, report.jobs[0].related) == (0, {})
    assert len(before) == 6
    assert dump() == before


def test_statistics_are_shown_when_nothing_is_due(run):
    SessionFactory(expires_at=NOW + DAY)
    SessionFactory.create_batch(2, is_active=False, ended_at=NOW - DAY)

    shown = text.render(run(JOB, stats=True), verbose=True)

    assert (
        "  Active sessions: 1\n"
        "  Inactive sessions: 2\n"
        "  Total sessions: 3\n"
        "  Sessions that would be cleaned up: 0\n"
    ) in shown


def test_statistics_count_only_collaborative_sessions(preview):
    SessionFactory.create_batch(2, expires_at=NOW - SECOND)
    SessionFactory(kind="browser", expires_at=NOW - SECOND)

    stats = preview(JOB, stats=True).stats["collaborative"]

    assert (stats.active, stats.inactive, stats.total, stats.due) == (2, 0, 2, 2)


@pytest.mark.parametrize("option", ["--verbose", "--stats"])
def test_both_options_show_the_statistics(db, option):
    SessionFactory()

    assert "  Active sessions: 1\n" in output_of(JOB, option)


def test_verbose_lists_title_id_age_and_expiry(run):
    session = SessionFactory(title="Pairing", expires_at=NOW - 36 * 3600 * SECOND)

    shown = text.render(run(JOB, dry_run=True, list_rows=50))

    line = f"  - Pairing, id {session.pk}, expires_at 2026-01-02T18:00:00.123456Z (1.5 days ago)\n"
    assert line in shown


def test_verbose_lists_the_first_fifty_and_v3_all(db):
    Session.objects.bulk_create(SessionFactory.build_batch(53, expires_at=timezone.now() - DAY))

    shown = output_of(JOB, "--dry-run", "--verbose")
    everything = output_of(JOB, "--dry-run", "--verbose", "-v", "3")

    assert shown.count("  - Session ") == 50
    assert "  … and 3 more\n" in shown
    assert everything.count("  - Session ") == 53
    assert " more\n" not in everything


def test_verbose_and_verbosity_live_side_by_side(db):
    SessionFactory(expires_at=timezone.now() - DAY)

    quiet = output_of(JOB, "--dry-run", "-v", "2")

    assert "Due for" not in quiet
    assert "Due for" in output_of(JOB, "--dry-run", "--verbose", "-v", "0")


@pytest.mark.parametrize("arguments", [["--dry-run"], ["--dry-run", "--verbose"], ["--stats"]])
def test_looking_changes_nothing(db, arguments):
    MemberFactory(session__expires_at=NOW - DAY)
    before = dump()

    output_of(*arguments)

    assert dump() == before


def test_the_documented_index_exists_in_the_database(db):
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, Session._meta.db_table)

    index = found["idx_sessions_expired"]
    assert index["columns"] == ["kind", "is_active", "expires_at", "id"]
    assert index["index"]


def test_cron_and_timer_name_the_same_hours(tmp_path):
    call_command("cleanup_deploy", "systemd", "crontab", output=str(tmp_path), stdout=StringIO())

    timer = (tmp_path / f"systemd/cleanup-sessions@{JOB}.timer").read_text()
    crontab = (tmp_path / "crontab/cleanup-sessions.crontab").read_text()
    at = re.search(r"^OnCalendar=\*-\*-\* 0?2:0?0:00 UTC$", timer, re.MULTILINE)
    assert at, timer
    assert re.search(rf"^0 2 \* \* \* .* cleanup_sessions {JOB} ", crontab, re.MULTILINE), crontab
    [job] = registry.select([JOB])
    [following] = next_times(schedule_of(job), NOW, 1)
    assert following == datetime(2026, 1, 5, 2, tzinfo=NOW.tzinfo)
