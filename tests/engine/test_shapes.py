"""Models of every shape: odd keys, proxies, to_field, generic relations, inheritance, deep trees."""

import inspect
import sys

import pytest
from django.db import connection
from django.db.models import F, Q

from session_cleanup.models import Hold
from session_cleanup.policies import RUN_CLOCK, Aged, Deactivate, Delete, Orphaned, Policy, Update
from tests.factories import DAY, HOUR, NOW
from tests.testapp.shapes import (
    Animal,
    Booking,
    Branch,
    Dog,
    Draft,
    Far,
    House,
    Meter,
    Minibar,
    Nest,
    Order,
    OrderLine,
    Owner,
    Photo,
    Remark,
    Room,
    Sign,
    Suite,
    Twig,
    Vaccination,
)

OLD = NOW - DAY
DEEP = 400  # rows
CLOCKS = {
    "Room": "left_at",
    "House": "sold_at",
    "Suite": "left_at",
    "Branch": "cut_at",
    "Twig": "cut_at",
    "Draft": "saved_at",
    "Photo": "taken_at",
    "Owner": "left_at",
    "Order": "paid_at",
    "Far": "seen_at",
}


def policy(model, action=None, **values):
    select = values.pop("select", None) or Aged(CLOCKS[model])
    label = f"testapp.{model}"
    return Policy(name="job", model=label, select=select, action=action or Delete(), **values)


def both(preview, run, **options):
    """The only job, previewed and done; a preview that claims to be exact must be."""
    seen, job = preview("job").jobs[0], run("job", **options).jobs[0]
    assert (seen.error, job.error) == (None, None)
    if not seen.inexact:
        assert (seen.due, seen.related, seen.skipped) == (job.changed, job.related, job.skipped)
    return seen, job


@pytest.fixture
def small_stack():
    """Room for 300 calls, so that a chain of DEEP rows is too deep for Django's collector."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 300)
    yield
    sys.setrecursionlimit(before)


def chain(length, **values):
    """The keys of a chain of branches, the root first; only the root is due, unless `values` say so."""
    Branch.objects.create(cut_at=OLD)
    below = Branch.objects.bulk_create(Branch(**values) for _ in range(length - 1))
    Branch.objects.filter(pk__in=[branch.pk for branch in below]).update(parent_id=F("pk") - 1)
    return list(Branch.objects.order_by("pk").values_list("pk", flat=True))


# to_field and proxies


def test_what_refers_by_another_column_goes_along(run, preview, declare):
    gone, kept = Room.objects.create(left_at=OLD), Room.objects.create()
    Sign.objects.create(room=gone)
    left = Sign.objects.create(room=kept)
    declare(policy("Room"))

    _, job = both(preview, run)

    assert (job.changed, job.related) == (1, {"testapp.Sign": 1})
    assert list(Sign.objects.all()) == [left]


def test_orphans_are_looked_for_in_the_column_that_is_referred_to(run, preview, declare):
    kept = Sign.objects.create(room=Room.objects.create())
    Sign.objects.create(room=None)
    lost = Sign.objects.create(room=Room.objects.create())
    with connection.constraint_checks_disabled():
        Room.objects.filter(signs=lost)._raw_delete("default")
        declare(policy("Sign", select=Orphaned("room")))

        _, job = both(preview, run)

    assert job.changed == 1
    assert set(Sign.objects.exclude(room_id=None)) == {kept}


def test_an_effect_follows_a_reference_by_another_column(run, preview, declare):
    room, other = Room.objects.create(left_at=OLD), Room.objects.create()
    for at in (room, other):
        Sign.objects.create(room=at)
    dark = {"signs": {"is_lit": False}}
    declare(policy("Room", Deactivate("is_open", related=dark), where=Q(is_open=True)))

    _, job = both(preview, run)

    assert (job.changed, job.related) == (1, {"testapp.Sign": 1})
    assert Sign.objects.get(is_lit=True).room == other


@pytest.mark.parametrize("model", ["Room", "Suite"])
def test_a_proxy_and_its_model_are_one_table(run, preview, declare, model):
    """Held by either name, and deleted with what refers to either."""
    for held_as in (Room, Suite):
        Hold.objects.place(held_as.objects.create(left_at=OLD))
    held_below = Minibar.objects.create(suite=Suite.objects.create(left_at=OLD))
    Hold.objects.place(held_below)
    Minibar.objects.create(suite=Suite.objects.create(left_at=OLD))
    declare(policy(model))

    _, job = both(preview, run, batch_size=1)

    assert (job.changed, job.related, job.skipped) == (1, {"testapp.Minibar": 1}, {"held": 3})
    assert Room.objects.count() == 3
    assert list(Minibar.objects.all()) == [held_below]


def test_an_effect_follows_a_reference_to_the_proxy(run, preview, declare):
    Minibar.objects.create(suite=Suite.objects.create(left_at=OLD))
    empty = {"minibars": {"is_stocked": False}}
    declare(policy("Suite", Deactivate("is_open", related=empty), where=Q(is_open=True)))

    _, job = both(preview, run)

    assert (job.changed, job.related) == (1, {"testapp.Minibar": 1})
    assert not Minibar.objects.get().is_stocked


# Generic relations, inheritance, composite keys


def test_what_a_generic_relation_leads_to_goes_along(run, preview, declare):
    photo, kept = Photo.objects.create(taken_at=OLD), Photo.objects.create()
    Remark.objects.create(about=photo)
    left = Remark.objects.create(about=kept)
    declare(policy("Photo"))

    seen, job = both(preview, run)

    assert seen.inexact == ["testapp.Photo has a generic relation, whose rows are not counted beforehand"]
    assert (job.changed, job.related) == (1, {"testapp.Remark": 1})
    assert list(Remark.objects.all()) == [left]


def test_an_inherited_row_goes_along_and_all_that_refers_to_it(run, preview, declare):
    dog = Dog.objects.create(owner=Owner.objects.create(left_at=OLD))
    Vaccination.objects.create(animal=dog)
    kept = Animal.objects.create()
    declare(policy("Owner"))

    seen, job = both(preview, run)

    assert seen.inexact == ["testapp.Dog inherits from another table, whose row goes with it"]
    assert job.changed == 1
    assert job.related == {"testapp.Dog": 1, "testapp.Animal": 1, "testapp.Vaccination": 1}
    assert list(Animal.objects.all()) == [kept]


def test_rows_with_a_key_of_two_columns_go_along(run, preview, declare):
    order, kept = Order.objects.create(paid_at=OLD), Order.objects.create()
    for of, number in ((order, 1), (order, 2), (kept, 1)):
        OrderLine.objects.create(order=of, number=number)
    declare(policy("Order"))

    _, job = both(preview, run)

    assert (job.changed, job.related) == (1, {"testapp.OrderLine": 2})
    assert OrderLine.objects.get().order == kept


def test_several_jobs_come_upon_rows_with_a_key_of_two_columns(run, preview, declare):
    """What the earlier ones delete, a later one's preview must not count again."""
    ages = {"oldest": 2 * DAY, "older": DAY, "old": 0 * DAY}
    for age in ages.values():
        order = Order.objects.create(paid_at=NOW - age - HOUR)
        OrderLine.objects.create(order=order, number=1)
    declare(
        *(
            Policy(name=name, model="testapp.Order", select=Aged("paid_at", age), action=Delete())
            for name, age in ages.items()
        )
    )

    seen, done = preview(*ages).jobs, run(*ages).jobs

    assert [job.error for job in (*seen, *done)] == [None] * 6
    assert [(job.due, job.related) for job in seen] == [(1, {"testapp.OrderLine": 1})] * 3
    assert [(job.changed, job.related) for job in done] == [(1, {"testapp.OrderLine": 1})] * 3


# Instances are the project's own code


@pytest.mark.parametrize("action", [Delete(), Update({"text": "empty"})])
def test_a_model_that_looks_at_its_own_columns_when_it_is_made(run, preview, declare, action):
    kept = Draft.objects.create(saved_at=NOW)
    Draft.objects.create(saved_at=OLD)
    declare(policy("Draft", action, where=Q(text="")))

    _, job = both(preview, run)

    assert job.changed == 1
    assert list(Draft.objects.filter(text="")) == [kept]


@pytest.mark.postgres
def test_a_table_in_another_schema(run, preview, declare):
    with connection.cursor() as cursor:  # rolled back with the test
        cursor.execute("CREATE SCHEMA far")
        cursor.execute("CREATE TABLE far.far (id bigserial PRIMARY KEY, seen_at timestamptz)")
    kept = Far.objects.create(seen_at=NOW)
    Far.objects.create(seen_at=OLD)
    declare(policy("Far"))

    _, job = both(preview, run)

    assert job.changed == 1
    assert list(Far.objects.all()) == [kept]


# What the database or Django refuse


@pytest.mark.django_db(transaction=True)  # SQLite checks at the commit
@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_row_that_the_database_keeps_does_not_hold_up_those_behind_it(run, declare, size):
    """DO_NOTHING with a constraint: Django does not look, the database refuses."""
    houses = [House.objects.create(sold_at=OLD - number * DAY) for number in range(5)]
    Meter.objects.create(house=houses[2])
    declare(policy("House"))

    job = run("job", batch_size=size).jobs[0]

    assert (job.changed, job.skipped, job.end_state) == (4, {"protected": 1}, "drained_with_skips")
    assert list(House.objects.all()) == [houses[2]]


@pytest.mark.django_db(transaction=True)
def test_a_preview_does_not_vouch_for_what_the_database_may_keep(run, preview, declare):
    Meter.objects.create(house=House.objects.create(sold_at=OLD))
    House.objects.create(sold_at=OLD)
    declare(policy("House"))

    seen, job = both(preview, run)

    assert seen.inexact == ["the database may keep a testapp.House to which a row refers"]
    assert (job.changed, job.skipped) == (1, {"protected": 1})


def test_a_chain_deeper_than_the_stack_goes_leaf_by_leaf(small_stack, run, preview, declare):
    root = Branch.objects.get(pk=chain(DEEP)[0])
    kept = Branch.objects.create()
    declare(policy("Branch"))
    with pytest.raises(RecursionError):
        root.delete()

    _, job = both(preview, run)

    assert (job.changed, job.end_state) == (DEEP, "drained")
    assert list(Branch.objects.all()) == [kept]


@pytest.mark.parametrize("size", [1, 100])
def test_a_deep_chain_of_which_each_row_is_due(small_stack, run, declare, size):
    chain(DEEP, cut_at=OLD)
    declare(policy("Branch"))

    assert run("job", batch_size=size).jobs[0].changed == DEEP
    assert not Branch.objects.exists()


def test_a_deep_chain_through_a_proxy(small_stack, run, declare):
    chain(DEEP)
    declare(policy("Twig"))

    job = run("job").jobs[0]

    assert (job.error, job.changed) == (None, DEEP)
    assert not Twig.objects.exists()


def test_a_deep_chain_that_something_protects_stays_whole(small_stack, run, declare):
    keys = chain(DEEP)
    Nest.objects.create(branch_id=keys[-1])
    Branch.objects.create(cut_at=OLD)
    declare(policy("Branch"))

    job = run("job").jobs[0]

    assert (job.error, job.changed, job.skipped) == (None, 1, {"protected": 1})
    assert Branch.objects.count() == DEEP


def test_a_deep_chain_that_ends_at_a_held_row_stays_whole(small_stack, run, declare):
    keys = chain(DEEP)
    Hold.objects.place(Branch.objects.get(pk=keys[-1]))
    declare(policy("Branch"))

    job = run("job").jobs[0]

    assert (job.error, job.changed, job.skipped) == (None, 0, {"held": 1})
    assert Branch.objects.count() == DEEP


# The walk


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite keeps a time as text")
@pytest.mark.parametrize("spelling", ["2026-01-01T00:00:00", "2026-01-01 00:00", "2026-01-01 00:00:00.000"])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_clock_in_another_spelling_is_walked_past(run, declare, spelling, size):
    """A row that stays must be met once, however another writer spelled its time."""
    held, guarded, due = (Room.objects.create() for _ in range(3))
    Hold.objects.place(held)
    Booking.objects.create(room=guarded)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE testapp_room SET left_at = %s", [spelling])
    declare(policy("Room"))

    job = run("job", batch_size=size, max_seconds=20).jobs[0]

    assert (job.changed, job.skipped) == (1, {"held": 1, "protected": 1})
    assert job.end_state == "drained_with_skips"
    assert not Room.objects.contains(due)


@pytest.mark.postgres
def test_a_clock_before_all_years_is_walked_past(run, declare):
    Room.objects.bulk_create(Room(left_at=OLD) for _ in range(2))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE testapp_room SET left_at = '-infinity'")
    declare(policy("Room", where=Q(is_open=True), action=Deactivate("is_open")))

    job = run("job", batch_size=1).jobs[0]

    assert (job.error, job.changed) == (None, 2)
    assert not Room.objects.filter(is_open=True).exists()


# The clock of the run in related rows


def test_related_rows_get_the_clock_of_the_run_once(run, preview, declare):
    """A constant beside it tells a row already done from one to be done."""
    room = Room.objects.create(left_at=OLD)
    desk = room.desks.create()
    freed = {"desks": {"is_free": False, "used_at": RUN_CLOCK}}
    declare(policy("Room", Deactivate("is_open", related=freed), where=Q(is_open=True)))

    _, job = both(preview, run)

    desk.refresh_from_db()
    assert (job.changed, job.related) == (1, {"testapp.Desk": 1})
    assert (desk.is_free, desk.used_at) == (False, NOW)
