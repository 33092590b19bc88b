"""Cascades that are left to the database (Django 6.1); with older Djangos the same rows by Django's own."""

from django.db.models import Q
from django.db.models.signals import post_delete

from session_cleanup.models import Hold
from session_cleanup.policies import Aged, Delete, Orphaned, Policy
from tests.factories import DAY, NOW
from tests.testapp.shapes import Hall, Locker

OLD_HALLS = Policy(name="halls", model="testapp.Hall", select=Aged("left_at"), action=Delete())


def halls():
    return [Hall.objects.create(left_at=NOW - DAY) for _ in range(2)]


def test_what_the_database_deletes_is_counted_beforehand_and_when_it_goes(run, preview, declare):
    first, second = halls()
    Locker.objects.create(hall=first)
    kept = Locker.objects.create()
    declare(OLD_HALLS)

    seen, job = preview("halls").jobs[0], run("halls").jobs[0]

    assert (seen.due, seen.related, seen.inexact) == (2, {"testapp.Locker": 1}, [])
    assert (job.changed, job.related) == (2, {"testapp.Locker": 1})
    assert list(Locker.objects.all()) == [kept]
    assert not Hall.objects.filter(pk__in=[first.pk, second.pk]).exists()


def test_it_is_counted_when_djangos_collector_deletes_too(run, declare):
    def receiver(**kwargs):
        pass

    Locker.objects.create(hall=halls()[0])
    declare(OLD_HALLS)
    post_delete.connect(receiver, sender=Hall)
    try:
        job = run("halls").jobs[0]
    finally:
        post_delete.disconnect(receiver, sender=Hall)

    assert (job.changed, job.related) == (2, {"testapp.Locker": 1})


def test_a_hold_on_a_row_that_the_database_would_delete_is_honoured(run, declare):
    first, second = halls()
    locker = Locker.objects.create(hall=first)
    Hold.objects.place(locker)
    declare(OLD_HALLS)

    assert run("halls").jobs[0].skipped == {"held": 1}
    assert list(Hall.objects.filter(Q(pk=first.pk) | Q(pk=second.pk))) == [first]
    assert Locker.objects.contains(locker)


def test_later_jobs_see_such_rows_as_gone(run, preview, declare):
    """A locker that went with its hall is not counted once more as an orphan."""
    first, _ = halls()
    Locker.objects.create(hall=first)
    lost = Policy(name="lost", model="testapp.Locker", select=Orphaned("hall"), action=Delete())
    declare(OLD_HALLS, lost)

    assert preview("halls", "lost").jobs[1].due == 0
    assert run("halls", "lost").jobs[1].changed == 0
