"""System 3: after-hours sessions. The lessons of the original stand here by name."""

import logging
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import models
from django.db.models.signals import post_delete

from session_cleanup.models import DeviceFingerprint, Session, SessionDecline, SessionProfile
from session_cleanup.policies import Delete, Orphaned, Policy, registry
from session_cleanup.scheduling.schedules import next_times, schedule_of
from tests.factories import (
    DAY,
    NOW,
    SECOND,
    AfterHoursFactory,
    DeclineFactory,
    FingerprintFactory,
    ProfileFactory,
)
from tests.testapp.models import Car, Vehicle

CUTOFF = NOW - 7 * DAY  # of declines and of ended sessions


def ended(**values):
    return AfterHoursFactory(**{"is_active": False, "ended_at": NOW - DAY, **values})


# Closing


def test_an_expired_session_ended_when_it_expired_and_not_now(run):
    session = AfterHoursFactory(expires_at=NOW - 3 * DAY)

    run("after-hours-close")

    session.refresh_from_db()
    assert (session.is_active, session.end_reason) == (False, "expired")
    assert (session.ended_at, session.updated_at) == (NOW - 3 * DAY, NOW)


def test_closed_just_past_the_cutoff_and_not_at_it(run):
    due = AfterHoursFactory(expires_at=NOW - SECOND)
    AfterHoursFactory(expires_at=NOW)
    AfterHoursFactory(expires_at=None)

    run("after-hours-close")

    assert list(Session.objects.inactive()) == [due]


def test_a_session_that_somebody_ended_keeps_its_end(run):
    session = ended(expires_at=NOW - 3 * DAY, end_reason="ended")

    assert run("after-hours-close").jobs[0].changed == 0
    session.refresh_from_db()
    assert (session.ended_at, session.end_reason) == (NOW - DAY, "ended")


def test_an_inactive_session_without_an_end_is_closed_too(run):
    session = AfterHoursFactory(expires_at=NOW - DAY, is_active=False)

    run("after-hours-close")

    session.refresh_from_db()
    assert session.ended_at == NOW - DAY


# Declines


def test_declines_are_aged_by_their_last_date(run):
    renewed = DeclineFactory(created_at=NOW - 90 * DAY, last_declined_at=NOW - DAY)
    DeclineFactory(created_at=NOW - 90 * DAY, last_declined_at=CUTOFF - SECOND)
    at_the_cutoff = DeclineFactory(created_at=NOW - 90 * DAY, last_declined_at=CUTOFF)

    run("after-hours-declines")

    assert set(SessionDecline.objects.all()) == {renewed, at_the_cutoff}


# Orphans


def test_fingerprints_keep_pointing_at_the_session_that_is_gone(run):
    """With ON DELETE SET NULL the reference would go, and nothing would ever be an orphan."""
    orphan, kept = FingerprintFactory.create_batch(2)
    Session.objects.filter(pk=orphan.session_id).delete()

    assert DeviceFingerprint.objects.filter(session_id=orphan.session_id).exists()
    run("after-hours-fingerprints")

    assert list(DeviceFingerprint.objects.all()) == [kept]


def test_profiles_of_users_who_are_gone_are_deleted(run):
    orphan, kept = ProfileFactory.create_batch(2)
    orphan.user.delete()

    run("after-hours-profiles")

    assert list(SessionProfile.objects.all()) == [kept]


@pytest.mark.parametrize("model", [DeviceFingerprint, SessionProfile])
def test_references_are_loose(model):
    reference = model._meta.get_field("session" if model is DeviceFingerprint else "user")

    assert not reference.db_constraint
    assert reference.remote_field.on_delete is models.DO_NOTHING


def test_orphan_query_survives_nulls(run, declare):
    """NOT IN finds nothing as soon as there is a NULL; and NULL itself refers to nothing."""
    select = Orphaned("vehicle_number", model="testapp.Vehicle")
    declare(Policy(name="cars", model="testapp.Car", select=select, action=Delete()))
    there = Car.objects.create(vehicle_number=Vehicle.objects.create().pk)
    unknown = Car.objects.create(vehicle_number=None)
    Car.objects.create(vehicle_number=10**9)

    report = run("cars")

    assert set(Car.objects.all()) == {there, unknown}
    assert report.jobs[0].changed == 1


# Ended sessions


def test_ended_sessions_are_deleted_after_the_days_they_are_kept(run):
    ended(ended_at=CUTOFF - SECOND)
    kept = {ended(ended_at=CUTOFF), AfterHoursFactory(expires_at=NOW + DAY)}

    run("after-hours-ended")

    assert set(Session.objects.all()) == kept


def test_ended_sessions_are_kept_for_ever_unless_days_are_set(settings):
    settings.SESSION_CLEANUP_ENDED_DAYS = None

    assert "after-hours-ended" not in [job.name for job in registry.jobs()]


def test_what_one_job_makes_due_is_due_in_the_next_run(run):
    fingerprint = FingerprintFactory(session=ended(ended_at=CUTOFF - SECOND))

    first = {job.name: job.changed for job in run("after_hours").jobs}
    left = DeviceFingerprint.objects.filter(pk=fingerprint.pk).exists()
    second = {job.name: job.changed for job in run("after_hours").jobs}

    assert (first["after-hours-ended"], first["after-hours-fingerprints"], left) == (1, 0, True)
    assert (second["after-hours-ended"], second["after-hours-fingerprints"]) == (0, 1)


# A run


def everything_due():
    AfterHoursFactory(expires_at=NOW - SECOND)
    DeclineFactory.create_batch(2, last_declined_at=CUTOFF - SECOND)
    for fingerprint in FingerprintFactory.create_batch(3):
        fingerprint.session.delete()
    for profile in ProfileFactory.create_batch(4):
        profile.user.delete()


def test_the_log_line_of_a_run_names_the_four_counts(run, caplog):
    everything_due()

    with caplog.at_level(logging.INFO, logger="session_cleanup"):
        run("after_hours")

    assert (
        " expired_sessions_closed=1 old_declines_deleted=2"
        " orphaned_fingerprints_deleted=3 orphaned_profiles_deleted=4"
    ) in caplog.text


def test_a_step_that_fails_half_way_is_taken_back_and_the_later_steps_run(run, caplog, fail_when):
    """The original ran its statements without a transaction, and one failure ended them all."""
    everything_due()
    fail_when(post_delete, SessionDecline)

    report = run("after_hours")

    states = {job.name: (job.end_state, job.changed) for job in report.jobs}
    assert states["after-hours-declines"] == ("failed", 0)
    assert SessionDecline.objects.count() == 2
    assert states["after-hours-close"] == ("drained", 1)
    assert states["after-hours-profiles"] == ("drained", 4)
    assert (report.status, report.exit_status) == ("failed", 1)
    assert "job failed job=after-hours-declines error=RuntimeError" in caplog.text


def test_a_second_run_changes_nothing(run):
    everything_due()
    run("after_hours")

    assert [job.changed for job in run("after_hours").jobs] == [0, 0, 0, 0, 0]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_four_o_clock_is_utc_whatever_the_zone_of_the_server(settings, tmp_path, zone):
    settings.TIME_ZONE = zone
    [job] = registry.select(["after-hours-close"])

    after = NOW.astimezone(ZoneInfo(zone))
    call_command("cleanup_deploy", "systemd", output=str(tmp_path), verbosity=0)

    assert next_times(schedule_of(job), after, 1) == [datetime(2026, 1, 5, 4, tzinfo=NOW.tzinfo)]
    timer = (tmp_path / "systemd/cleanup-sessions@after-hours-close.timer").read_text()
    assert "04:00:00 UTC" in timer or " 4:0:00 UTC" in timer, timer
