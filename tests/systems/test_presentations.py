"""System 1: blank presentations. The lessons of the original stand here by name."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL
from django.db.models.signals import pre_delete

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.engine.walks import KeysetWalk
from session_cleanup.models import Session
from session_cleanup.models.sessions import BLANK
from session_cleanup.policies import Aged, Delete, Policy
from session_cleanup.reporting import text
from tests.factories import DAY, HOUR, NOW, SECOND, MemberFactory, PresentationFactory

JOB = "presentations-blank"
OLD = NOW - 25 * HOUR

# SYSTEMS.md, word for word.
TEXT = """\
============================================================
Session Cleanup Job - 2026-01-04T06:00:00.123456Z
============================================================

Checking orphaned sessions...
  Total orphaned: 15
  By age: <1h=3, 1-6h=5, 6-24h=4, >24h=3

Running cleanup...

Cleanup Result:
  Success: True
  Sessions found: 3
  Sessions deleted: 3
  Cutoff time: 2026-01-03T06:00:00.123456Z

============================================================
Cleanup completed successfully
============================================================
"""


def of_all_ages():
    for hours, count in ((0.5, 3), (3, 5), (12, 4), (25, 3)):
        PresentationFactory.create_batch(count, created_at=NOW - hours * HOUR)


def test_the_text_of_a_run_is_that_of_the_original_job(run):
    of_all_ages()

    report = run(JOB, ages=True)

    assert text.render(report) == TEXT


def test_the_text_of_a_dry_run_says_what_would_be_deleted(preview):
    of_all_ages()

    shown = text.render(preview(JOB, ages=True))

    assert "Session Cleanup Job (dry run) - 2026-01-04T06:00:00.123456Z" in shown
    assert "  Sessions that would be deleted: 3\n" in shown
    assert "\nDry run: nothing was changed\n" in shown
    assert Session.objects.count() == 15


def test_due_just_past_the_cutoff_and_not_at_it(run):
    PresentationFactory(created_at=NOW - DAY - SECOND)
    kept = PresentationFactory(created_at=NOW - DAY)

    run(JOB)

    assert list(Session.objects.all()) == [kept]


def test_the_threshold_is_that_of_the_settings(run, settings):
    settings.SESSION_CLEANUP_HOURS = 2
    PresentationFactory(created_at=NOW - 2 * HOUR - SECOND)
    kept = PresentationFactory(created_at=NOW - 2 * HOUR + SECOND)

    run(JOB)

    assert list(Session.objects.all()) == [kept]


def test_what_belongs_to_a_deleted_session_goes_with_it_and_is_counted(run):
    MemberFactory.create_batch(2, session=PresentationFactory(created_at=OLD))

    report = run(JOB)

    assert report.jobs[0].related == {"session_cleanup.SessionMember": 2}


def test_content_typed_without_a_topic_keeps_the_deck(run):
    PresentationFactory(created_at=OLD).mark_content()

    assert run(JOB).jobs[0].changed == 0


def test_a_topic_keeps_the_deck(run):
    PresentationFactory(created_at=OLD).give_topic()

    assert run(JOB).jobs[0].changed == 0


def test_max_age_zero_is_refused_and_not_the_default(db):
    PresentationFactory(created_at=OLD)

    with pytest.raises(CommandError, match="--max-age is 0") as refused:
        call_command("cleanup_sessions", JOB, "--max-age", "0")

    assert refused.value.returncode == 2
    assert Session.objects.count() == 1


def test_a_negative_age_is_refused_and_deletes_nothing(db):
    PresentationFactory(created_at=OLD)

    with pytest.raises(CommandError, match=r"--max-age is -1\. Give a whole number from 1 to 8,760"):
        call_command("cleanup_sessions", JOB, "--max-age", "-1")

    assert Session.objects.count() == 1


@pytest.mark.parametrize("hours", [1, 8760])
def test_max_age_counts_in_preview_and_run_alike(run, preview, hours):
    PresentationFactory(created_at=NOW - hours * HOUR - SECOND)
    kept = PresentationFactory(created_at=NOW - hours * HOUR)

    assert preview(JOB, max_age=hours).jobs[0].due == 1
    report = run(JOB, max_age=hours)

    assert list(Session.objects.all()) == [kept]
    assert report.jobs[0].cutoff == NOW - timedelta(hours=hours)


def test_the_output_shows_the_age_in_force(run):
    assert "Age in force: 5 hours (--max-age)" in text.render(run(JOB, max_age=5))


def test_statistics_that_fail_are_unknown_and_not_zero(declare, settings, db):
    endless = RawSQL(
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n) > 0",
        [],
        BooleanField(),
    )
    declare(
        Policy(
            name="slow",
            model="session_cleanup.Session",
            where=Q(endless, BLANK),
            select=Aged("created_at", older_than=HOUR),
            action=Delete(),
            by_age=True,
        )
    )
    settings.SESSION_CLEANUP_STATS_TIMEOUT_MS = 100
    PresentationFactory(created_at=NOW)
    PresentationFactory(created_at=OLD)

    report = runner.count(RunRequest(jobs=("slow",)), now=NOW)
    shown = text.render_statistics(report)

    assert "Total orphaned: not known" in shown
    assert "By age: <1h=?, >1h=?" in shown
    assert "Sessions that would be cleaned up: not known" in shown
    assert "Total sessions: 2\n" in shown


def test_buckets_are_in_order_of_age(preview, settings):
    settings.SESSION_CLEANUP_HOURS = 100  # as text, ">100h" and "6-100h" would come first

    ages = preview(JOB, stats=True).stats["presentations"].by_age

    assert list(ages) == ["<1h", "1-6h", "6-100h", ">100h"]


def test_buckets_sum_to_the_total_and_the_last_is_what_is_due(preview):
    of_all_ages()
    PresentationFactory(created_at=NOW - DAY)  # at the edge: not due
    PresentationFactory(created_at=NOW + HOUR)  # a clock that runs ahead
    PresentationFactory(created_at=OLD, has_topic=True)

    stats = preview(JOB, stats=True).stats["presentations"]

    assert stats.by_age == {"<1h": 4, "1-6h": 5, "6-24h": 5, ">24h": 3}
    assert (stats.orphaned, stats.due, stats.total) == (17, 3, 18)


def test_buckets_follow_the_age_in_force(preview):
    of_all_ages()

    ages = preview(JOB, stats=True, max_age=2).stats["presentations"].by_age

    assert ages == {"<1h": 3, "1-2h": 0, ">2h": 12}


def test_errors_do_not_exit_with_zero(db, capsys, fail_when):
    PresentationFactory(created_at=OLD)
    fail_when(pre_delete, Session)

    with pytest.raises(SystemExit) as left:
        call_command("cleanup_sessions", JOB)

    assert left.value.code == 1
    shown = capsys.readouterr().out
    assert "  Success: False\n  Error: RuntimeError: the test says no.\n" in shown
    assert f"\nCleanup failed: {JOB}\n" in shown


def test_more_than_a_thousand_rows_are_all_seen(run):
    Session.objects.bulk_create(
        PresentationFactory.build_batch(1500, created_at=OLD) + PresentationFactory.build_batch(3)
    )

    report = run(JOB)

    assert report.jobs[0].changed == 1500
    assert Session.objects.count() == 3


def test_a_topic_given_between_selection_and_deletion_is_kept(run, monkeypatch):
    kept, _ = PresentationFactory.create_batch(2, created_at=OLD)
    step = KeysetWalk.step

    def step_then_give_topic(walk, size):
        found = step(walk, size)
        kept.give_topic()
        return found

    monkeypatch.setattr(KeysetWalk, "step", step_then_give_topic)
    report = run(JOB)

    assert list(Session.objects.all()) == [kept]
    assert report.jobs[0].changed == 1


def test_a_second_run_changes_nothing(run):
    of_all_ages()
    run(JOB)

    report = run(JOB)

    assert (report.jobs[0].changed, report.jobs[0].batches) == (0, 0)
    assert Session.objects.count() == 12
