"""Cascades that are left to the database (Django 6.1); with older Djangos the same rows by Django's own."""

import django
from django.db.models import Q

from session_cleanup.models import Hold
from session_cleanup.policies import Aged, Delete, Orphaned, Policy
from tests.factories import DAY, NOW
from tests.testapp.shapes import Locker, Room

OLD_ROOMS = Policy(name="rooms", model="testapp.Room", select=Aged("left_at"), action=Delete())


def rooms():
    return [Room.objects.create(left_at=NOW - DAY) for _ in range(2)]


def test_what_the_database_deletes_goes_and_the_preview_does_not_vouch_for_its_count(run, preview, declare):
    first, second = rooms()
    Locker.objects.create(room=first)
    kept = Locker.objects.create()
    declare(OLD_ROOMS)

    seen, job = preview("rooms").jobs[0], run("rooms").jobs[0]

    assert (seen.due, job.changed) == (2, 2)
    assert ("the database itself cascades from testapp.Room" in seen.inexact) is (django.VERSION >= (6, 1))
    assert list(Locker.objects.all()) == [kept]
    assert not Room.objects.filter(pk__in=[first.pk, second.pk]).exists()


def test_a_hold_on_a_row_that_the_database_would_delete_is_honoured(run, declare):
    first, second = rooms()
    locker = Locker.objects.create(room=first)
    Hold.objects.place(locker)
    declare(OLD_ROOMS)

    assert run("rooms").jobs[0].skipped == {"held": 1}
    assert list(Room.objects.filter(Q(pk=first.pk) | Q(pk=second.pk))) == [first]
    assert Locker.objects.contains(locker)


def test_later_jobs_see_such_rows_as_gone(run, preview, declare):
    """A locker that went with its room is not counted once more as an orphan."""
    first, _ = rooms()
    Locker.objects.create(room=first)
    lost = Policy(name="lost", model="testapp.Locker", select=Orphaned("room"), action=Delete())
    declare(OLD_ROOMS, lost)

    assert preview("rooms", "lost").jobs[1].due == 0
    assert run("rooms", "lost").jobs[1].changed == 0
