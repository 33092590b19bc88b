"""Which previews say that they may differ from the run, and why; all others must be exact."""

import pytest
from django.db.models import F, Q

from session_cleanup.policies import Aged, Deactivate, Delete, Orphaned, Policy, Update
from tests.factories import DAY, NOW
from tests.testapp.shapes import Booking, Branch, Desk, Guest, Link, Nest, Room, Task

OLD = NOW - DAY
CLOCKS = {
    "Room": "left_at",
    "Desk": "used_at",
    "Booking": "made_at",
    "Task": "due_at",
    "Branch": "cut_at",
}


def policy(name, model, action=None, **values):
    select = values.pop("select", None) or Aged(CLOCKS[model])
    label = f"testapp.{model}"
    return Policy(name=name, model=label, select=select, action=action or Delete(), **values)


def outcome(job, count):
    return job.name, count, job.related, job.skipped


def compare(preview, run, policies, **options):
    """The reasons and the changes of each job; without reasons, what was previewed must be what was done."""
    names = [each.name for each in policies]
    seen, done = preview(*names).jobs, run(*names, **options).jobs
    for before, after in zip(seen, done, strict=True):
        assert (before.error, after.error) == (None, None)
        if not before.inexact:
            assert outcome(before, before.due) == outcome(after, after.changed)
    return [job.inexact for job in seen], [job.changed for job in done]


DETACHED_DESKS = policy("detach", "Desk", Update({"room": None}), where=Q(room__isnull=False))
DETACHED_BOOKINGS = policy("detach", "Booking", Update({"room": None}), where=Q(room__isnull=False))
EMPTIED_ROOMS = policy(
    "detach",
    "Room",
    Deactivate("is_open", related={"desks": {"room": None}}),
    where=Q(is_open=True, kind="office"),
)
BOOKED_DESKS = policy("use", "Desk", Update({"is_free": False}), where=Q(is_free=True))
CHORES = Q(kind="chore")
EMPTY = Aged("left_at", unreferenced_by="desks")

MAY_DIFFER = {
    "an earlier job takes rows out of the cascade": (
        [DETACHED_DESKS, policy("delete", "Room")],
        [[], ["the earlier job detach changes what refers to its rows"]],
    ),
    "an earlier job takes away what protects": (
        [DETACHED_BOOKINGS, policy("delete", "Room")],
        [[], ["the earlier job detach changes what refers to its rows"]],
    ),
    "a related effect of an earlier job takes rows out of the cascade": (
        [EMPTIED_ROOMS, policy("delete", "Room")],
        [[], ["the earlier job detach changes what refers to its rows"]],
    ),
    "a related effect on the own model": (
        [
            policy(
                "close",
                "Task",
                Deactivate("is_open", related={"followers": {"is_open": False}}),
                where=Q(is_open=True),
            )
        ],
        [["its related effect leads back to its own model"]],
    ),
    "a delete that nulls a column of its own condition": (
        [policy("delete", "Task", where=Q(follows__isnull=False))],
        [["rows of its own table lose their reference meanwhile"]],
    ),
    "orphans that make orphans": (
        [policy("delete", "Link", select=Orphaned("target"))],
        [["what it deletes may leave others of its rows without their target"]],
    ),
    "an earlier job takes away what refers": (
        [DETACHED_DESKS, policy("close", "Room", Deactivate("is_open"), select=EMPTY, where=Q(is_open=True))],
        [[], ["it asks for testapp.Desk.room, which the earlier job detach changes"]],
    ),
    "an earlier job moves a clock behind a foreign key": (
        [
            policy("stay", "Room", Update({"left_at": None})),
            policy("delete", "Desk", select=Aged("room__left_at")),
        ],
        [[], ["it asks for testapp.Room.left_at, which the earlier job stay changes"]],
    ),
    "protection at any depth of a tree": (
        [policy("delete", "Branch")],
        [["what protects a row may hang below it at any depth"]],
    ),
}

MUST_BE_EXACT = {
    "an earlier job writes other columns of what goes along": [BOOKED_DESKS, policy("delete", "Room")],
    "a later job takes rows out of the cascade": [policy("delete", "Room"), DETACHED_DESKS],
    "conditions that cannot meet": [
        policy("one", "Task", Update({"state": "old"}), where=CHORES & Q(state="new")),
        policy("two", "Task", Update({"state": "new"}), where=~CHORES & Q(state="old")),
    ],
    "a related effect on another model": [
        policy(
            "close",
            "Room",
            Deactivate("is_open", related={"desks": {"is_free": False, "moves": F("moves") + 1}}),
            where=Q(is_open=True),
        ),
        BOOKED_DESKS,
    ],
    "nulled rows of another model": [policy("delete", "Room")],
    "an earlier job deletes what refers": [policy("use", "Desk"), policy("delete", "Room", select=EMPTY)],
    "a clock behind a foreign key": [
        policy("use", "Desk", select=Aged("room__left_at")),
        policy("delete", "Room", select=EMPTY),
    ],
}


def rows():
    """For each shape a few rows, of which one leads to the other."""
    for kind in ("office", "hall"):
        room = Room.objects.create(left_at=OLD, kind=kind)
        for used_at in (OLD, None):
            Desk.objects.create(room=room, used_at=used_at)
        Guest.objects.create(room=room)
    Desk.objects.create(room=Room.objects.create(), used_at=OLD)
    Desk.objects.create(room=Room.objects.create(left_at=OLD), used_at=OLD)
    Booking.objects.create(room=Room.objects.create(left_at=OLD), made_at=OLD)
    first = Task.objects.create()
    second = Task.objects.create(follows=first, due_at=OLD - DAY)
    Task.objects.create(follows=second, due_at=OLD, state="old", kind="errand")
    root = Branch.objects.create(cut_at=OLD)
    Nest.objects.create(branch=Branch.objects.create(parent=root))
    Branch.objects.create(cut_at=OLD)
    lost = Link.objects.create(target_id=10**6)
    Link.objects.create(target=Link.objects.create(target=lost))


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize(("policies", "reasons"), MAY_DIFFER.values(), ids=MAY_DIFFER)
def test_a_preview_that_may_differ_says_why(run, preview, declare, policies, reasons, size):
    rows()
    declare(*policies)

    assert compare(preview, run, policies, batch_size=size)[0] == reasons


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("policies", MUST_BE_EXACT.values(), ids=MUST_BE_EXACT)
def test_a_preview_that_cannot_differ_is_exact(run, preview, declare, policies, size):
    rows()
    declare(*policies)

    reasons, changed = compare(preview, run, policies, batch_size=size)

    assert reasons == [[] for _ in policies]
    assert all(changed)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_many_jobs_that_delete_from_one_table_are_previewed_exactly(run, preview, declare, count):
    """The question that a preview asks must not grow with what it asked for the jobs before."""
    policies = []
    for number in range(count):
        room = Room.objects.create(left_at=OLD - number * DAY)
        Desk.objects.create(room=room)
        Guest.objects.create(room=room)
        age = (count - number - 1) * DAY  # the oldest room first
        policies.append(policy(f"delete-{number}", "Room", select=Aged("left_at", age)))
    declare(*policies)

    reasons, changed = compare(preview, run, policies)

    assert (reasons, changed) == ([[]] * count, [1] * count)
    assert not Room.objects.exists()


# What the run itself must do in these shapes, whatever the preview said


def test_a_row_below_another_protects_it(run, declare):
    root = Branch.objects.create(cut_at=OLD)
    reply = Branch.objects.create(parent=root)
    Nest.objects.create(branch=reply)
    declare(policy("delete", "Branch"))

    job = run("delete").jobs[0]

    assert (job.changed, job.skipped) == (0, {"protected": 1})
    assert set(Branch.objects.all()) == {root, reply}


def test_a_row_that_a_related_effect_changed_is_not_changed_by_a_later_job(run, preview, declare):
    """The conditions of the two jobs cannot meet, but the effect of the first leads to the second's rows."""
    first = Task.objects.create(due_at=OLD)
    second = Task.objects.create(follows=first, due_at=OLD, kind="errand")
    marked = {"followers": {"state": "done"}}
    policies = [
        policy("one", "Task", Deactivate("is_open", related=marked), where=CHORES & Q(is_open=True)),
        policy("two", "Task", Deactivate("is_open"), where=Q(kind="errand", is_open=True)),
    ]
    declare(*policies)

    reasons, changed = compare(preview, run, policies)

    assert changed == [1, 0]
    assert all(reasons)
    second.refresh_from_db()
    assert (second.state, second.is_open) == ("done", True)


@pytest.mark.parametrize("size", [1, 100])
def test_every_link_of_a_broken_chain_goes_in_the_end(run, declare, size):
    lost = Link.objects.create(target_id=10**6)
    Link.objects.create(target=Link.objects.create(target=lost))
    declare(policy("delete", "Link", select=Orphaned("target")))

    assert sum(run("delete", batch_size=size).jobs[0].changed for _ in range(3)) == 3
    assert not Link.objects.exists()


def test_a_detached_row_stays_when_its_parent_goes(run, declare):
    room = Room.objects.create(left_at=OLD)
    detached = Desk.objects.create(room=room, used_at=OLD)
    Desk.objects.create(room=room)
    declare(DETACHED_DESKS, policy("delete", "Room"))

    detach, delete = run("detach", "delete").jobs

    assert (detach.changed, delete.changed, delete.related) == (1, 1, {"testapp.Desk": 1})
    assert list(Desk.objects.all()) == [detached]
