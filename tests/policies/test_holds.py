"""A row under a hold is never due: not as target, not by cascade, not as a related row."""

import pytest
from django.db.models import Q

from session_cleanup.models import Hold
from session_cleanup.policies import Aged, Deactivate, Delete, Policy
from tests.factories import DAY, NOW, SECOND
from tests.testapp.models import Book, Chapter, Comment, Footnote, Ticket

LONG_AGO = NOW - 90 * DAY


def make(model):
    """Two rows that are due; the keys are a number, a UUID and a text."""
    if model is Ticket:
        return [Ticket.objects.create(code=code, day=LONG_AGO.date()) for code in ("Ä b", "c")]
    clock = {"made_at" if model is Comment else "read_at": LONG_AGO}
    return [model.objects.create(**clock) for _ in range(2)]


@pytest.fixture
def delete(declare):
    declare(
        *(
            Policy(
                name=model.__name__.lower(),
                model=model._meta.label,
                select=Aged(clock),
                action=Delete(),
            )
            for model, clock in ((Book, "read_at"), (Ticket, "day"), (Comment, "made_at"))
        )
    )


def one(report):
    [job] = report.jobs
    return job


@pytest.mark.parametrize("model", [Book, Ticket, Comment])
def test_a_held_row_is_not_due_whatever_its_key(run, preview, delete, model):
    held, _ = make(model)
    Hold.objects.place(held)

    previewed = one(preview(model.__name__.lower()))
    done = one(run(model.__name__.lower()))

    assert list(model._base_manager.all()) == [held]
    assert (previewed.due, previewed.skipped) == (1, {"held": 1})
    assert (done.changed, done.skipped, done.end_state) == (1, {"held": 1}, "drained_with_skips")


@pytest.mark.parametrize(("until", "left"), [(NOW, 0), (NOW + SECOND, 1), (None, 1)])
def test_a_hold_lets_go_at_its_time(run, delete, until, left):
    held, _ = make(Book)
    Hold.objects.place(held, until=until)

    run("book")

    assert Book.objects.count() == left


def test_a_hold_on_another_model_with_the_same_key_holds_nothing(run, delete):
    comment, _ = make(Comment)
    Hold.objects.create(model="testapp.Chapter", object_pk=str(comment.pk))

    assert one(run("comment")).changed == 2


@pytest.mark.parametrize("depth", [Chapter, Footnote])
def test_a_row_is_kept_when_a_held_one_would_go_along(run, preview, delete, depth):
    book, _ = make(Book)
    chapter = Chapter.objects.create(book=book)
    footnote = Footnote.objects.create(chapter=chapter)
    Hold.objects.place(chapter if depth is Chapter else footnote)

    assert one(preview("book")).due == 1
    assert one(run("book")).skipped == {"held": 1}
    assert list(Book.objects.all()) == [book]


def test_a_held_reply_far_down_a_tree_keeps_its_root(run, delete):
    root, _ = make(Comment)
    reply = root
    for _ in range(4):
        reply = Comment.objects.create(parent=reply)
    Hold.objects.place(reply)

    run("comment")

    assert Comment.objects.filter(pk=root.pk).exists()
    assert Comment.objects.count() == 5


def test_a_held_related_row_is_left_alone_and_its_parent_changes(run, preview, declare):
    action = Deactivate(related={"chapters": {"is_open": False}})
    where = Q(is_active=True)
    declare(Policy(name="close", model="testapp.Book", where=where, select=Aged("read_at"), action=action))
    book = Book.objects.create(read_at=LONG_AGO)
    held, _ = (Chapter.objects.create(book=book) for _ in range(2))
    Hold.objects.place(held)

    assert one(preview("close")).related == {"testapp.Chapter": 1}
    assert one(run("close")).related == {"testapp.Chapter": 1}
    assert list(Chapter.objects.filter(is_open=True)) == [held]


def test_removing_a_hold_makes_the_row_due_again(run, delete):
    held, _ = make(Book)
    hold = Hold.objects.place(held)
    run("book")

    hold.delete()

    assert one(run("book")).changed == 1
