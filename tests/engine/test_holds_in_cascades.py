"""A hold keeps a row from all that a delete elsewhere would do to it: going along, losing a reference."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import Hold
from session_cleanup.policies import Aged, Delete, Policy
from tests.factories import DAY, NOW
from tests.testapp.shapes import (
    Animal,
    Branch,
    Desk,
    Dog,
    Guest,
    Host,
    Minibar,
    Moment,
    Order,
    OrderLine,
    Owner,
    Photo,
    Price,
    Remark,
    Room,
    Sign,
    Suite,
    Task,
    Vaccination,
)

OLD = NOW - DAY


def photo_with_a_remark():
    return Remark.objects.create(about=Photo.objects.create(taken_at=OLD))


def owner_with_a_dog():
    return Dog.objects.create(owner=Owner.objects.create(left_at=OLD))


def parent_row_of_a_dog():
    return Animal.objects.get(pk=owner_with_a_dog().pk)


def vaccination_of_a_dog():
    return Vaccination.objects.create(animal=owner_with_a_dog())


def room_with_a_guest():
    return Guest.objects.create(room=Room.objects.create(left_at=OLD))


def room_with_a_sign():
    return Sign.objects.create(room=Room.objects.create(left_at=OLD))


def room_with_a_minibar():
    return Minibar.objects.create(suite=Suite.objects.create(left_at=OLD))


def task_with_a_follower():
    return Task.objects.create(follows=Task.objects.create(due_at=OLD))


def branch_far_below():
    branch = Branch.objects.create(cut_at=OLD)
    for _ in range(5):
        branch = Branch.objects.create(parent=branch)
    return branch


def delete(label, clock):
    return Policy(name="job", model=f"testapp.{label}", select=Aged(clock), action=Delete())


SHAPES = [
    (photo_with_a_remark, "Photo", "taken_at"),
    (owner_with_a_dog, "Owner", "left_at"),
    (parent_row_of_a_dog, "Owner", "left_at"),
    (vaccination_of_a_dog, "Owner", "left_at"),
    (room_with_a_guest, "Room", "left_at"),
    (room_with_a_sign, "Room", "left_at"),
    (room_with_a_minibar, "Room", "left_at"),
    (task_with_a_follower, "Task", "due_at"),
    (branch_far_below, "Branch", "cut_at"),
]
SHAPES = [pytest.param(*shape, id=shape[0].__name__) for shape in SHAPES]


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize(("build", "label", "clock"), SHAPES)
def test_a_held_row_is_left_as_it_is_and_keeps_what_it_hangs_on(
    run, preview, declare, build, label, clock, size
):
    """The same shape twice, one of them held: the other goes."""
    held, _ = build(), build()
    before = type(held).objects.filter(pk=held.pk).values().get()
    Hold.objects.place(held)
    declare(delete(label, clock))

    seen, job = preview("job").jobs[0], run("job", batch_size=size).jobs[0]

    assert (job.error, job.skipped, job.end_state) == (None, {"held": 1}, "drained_with_skips")
    assert type(held).objects.filter(pk=held.pk).values().get() == before
    if not seen.inexact:
        assert (seen.due, seen.related, seen.skipped) == (job.changed, job.related, job.skipped)


@pytest.mark.parametrize(("build", "label", "clock"), SHAPES)
def test_a_hold_that_is_over_keeps_nothing(run, declare, build, label, clock):
    Hold.objects.place(build(), until=NOW)
    declare(delete(label, clock))

    job = run("job").jobs[0]

    assert (job.error, job.skipped, job.end_state) == (None, {}, "drained")
    assert job.changed


def test_a_hold_keeps_its_own_root_and_no_other(run, declare):
    held, gone = photo_with_a_remark(), photo_with_a_remark()
    Hold.objects.place(held)
    declare(delete("Photo", "taken_at"))

    run("job")

    assert list(Photo.objects.all()) == [held.about]
    assert not Remark.objects.contains(gone)


def test_a_row_that_is_neither_deleted_nor_written_may_be_under_a_hold(run, preview, declare):
    """A hold on a desk of another room keeps nothing."""
    Hold.objects.place(Desk.objects.create(room=Room.objects.create()))
    Desk.objects.create(room=Room.objects.create(left_at=OLD))
    declare(delete("Room", "left_at"))

    assert preview("job").jobs[0].due == run("job").jobs[0].changed == 1
    assert Desk.objects.count() == 1


@pytest.mark.parametrize(
    "row",
    [
        Price(amount=Decimal("1.5")),
        Host(address="10.0.0.1"),
        Moment(at=NOW - timedelta(microseconds=1)),
        OrderLine(order_id=1, number=2),
    ],
    ids=lambda row: type(row).__name__,
)
def test_a_row_that_no_text_names_for_certain_cannot_be_held(db, row):
    """A hold that the database would write otherwise would hold nothing."""
    with pytest.raises(
        ConfigurationError, match="cannot be held: its primary key is no number, text or UUID"
    ):
        Hold.objects.place(row)
    with pytest.raises(ValidationError, match="Its primary key is no number, text or UUID"):
        Hold(model=row._meta.label, object_pk=str(row.pk)).full_clean()

    assert not Hold.objects.exists()


def test_rows_that_cannot_be_held_go_along(run, preview, declare):
    """And a hold that somebody wrote for them by hand does not stop the run."""
    OrderLine.objects.create(order=Order.objects.create(paid_at=OLD), number=1)
    Hold.objects.create(model="testapp.OrderLine", object_pk="(1, 1)")
    declare(delete("Order", "paid_at"))

    seen, job = preview("job").jobs[0], run("job").jobs[0]

    assert (seen.due, seen.related) == (job.changed, job.related) == (1, {"testapp.OrderLine": 1})
    assert not OrderLine.objects.exists()
