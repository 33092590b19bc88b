"""Deletes: the rows that remain, and the counts, are those of QuerySet.delete()."""

from django.db import transaction
from django.db.models.signals import pre_delete

from session_cleanup.engine.acting import Acting
from session_cleanup.models import Hold
from session_cleanup.policies import Aged, Delete, Policy
from tests.factories import DAY, NOW
from tests.testapp.models import (
    Album,
    Artist,
    Author,
    Book,
    Bookmark,
    Chapter,
    Comment,
    Footnote,
    Loan,
    Song,
    Tag,
    Truck,
    Vehicle,
)

OLD, YOUNG = NOW - DAY, NOW + DAY


def delete(model, clock):
    return Policy(name="job", model=f"testapp.{model.__name__}", select=Aged(clock), action=Delete())


def library():
    """Two old books and a young one, each with something for every on_delete below it."""
    author = Author.objects.create()
    for read_at in (OLD, OLD, YOUNG):
        book = Book.objects.create(author=author, read_at=read_at)
        book.tags.add(Tag.objects.create())
        Bookmark.objects.create(book=book)
        for _ in range(2):
            Footnote.objects.create(chapter=Chapter.objects.create(book=book))


def test_the_counts_are_those_of_django(run, preview, declare):
    library()
    declare(delete(Book, "read_at"))
    with transaction.atomic():
        _, counts = Book.objects.filter(read_at__lt=NOW).delete()
        transaction.set_rollback(True)
    expected = {label: count for label, count in counts.items() if label != "testapp.Book"}
    assert expected["testapp.Book_tags"] == 2

    assert (preview("job").jobs[0].due, preview("job").jobs[0].related) == (2, expected)
    job = run("job").jobs[0]

    assert (job.changed, job.related) == (2, expected)
    assert Book.objects.count() == 1
    assert Footnote.objects.count() == 2
    assert Bookmark.objects.filter(book=None).count() == 2


def test_a_protected_row_stays_and_the_others_go(run, preview, declare):
    library()
    lent = Book.objects.filter(read_at=OLD).first()
    Loan.objects.create(book=lent)
    declare(delete(Book, "read_at"))

    seen = preview("job").jobs[0]
    job = run("job").jobs[0]

    assert (seen.due, seen.skipped) == (job.changed, job.skipped) == (1, {"protected": 1})
    assert set(Book.objects.filter(read_at=OLD)) == {lent}
    assert job.end_state == "drained_with_skips"


def test_protection_far_below_protects_too(run, preview, declare):
    """The author cascades to books, of which one is lent."""
    library()
    Author.objects.update(seen_at=OLD)
    Loan.objects.create(book=Book.objects.first())
    declare(delete(Author, "seen_at"))

    assert preview("job").jobs[0].skipped == run("job").jobs[0].skipped == {"protected": 1}
    assert Author.objects.count() == 1


def test_a_row_that_is_lent_between_judging_and_deleting_is_kept(run, declare, monkeypatch):
    library()
    lent = Book.objects.filter(read_at=OLD).first()
    judge = Acting.judge

    def lent_meanwhile(self, locked):
        due = judge(self, locked)
        Loan.objects.get_or_create(book=lent)
        return due

    monkeypatch.setattr(Acting, "judge", lent_meanwhile)
    declare(delete(Book, "read_at"))

    job = run("job").jobs[0]

    assert (job.changed, job.skipped) == (1, {"protected": 1})
    assert Book.objects.filter(pk=lent.pk).exists()


def test_restrict_gives_way_when_the_row_goes_along_anyway(run, preview, declare):
    artist, other = Artist.objects.create(seen_at=OLD), Artist.objects.create(seen_at=OLD)
    Song.objects.create(artist=artist, album=Album.objects.create(artist=artist))
    Song.objects.create(artist=artist, album=Album.objects.create(artist=other))
    declare(delete(Artist, "seen_at"))

    job = run("job").jobs[0]

    # `other` alone is refused at first; when `artist` has gone with its songs, it can go too.
    assert job.changed == 2
    assert job.skipped == {}
    assert not Song.objects.exists()


def test_an_inexact_preview_says_why(preview, declare):
    declare(delete(Artist, "seen_at"))

    assert preview("job").jobs[0].inexact == ["a row that goes may be what protects another row that is due"]


def test_receivers_make_a_preview_inexact_and_they_run(run, preview, declare):
    gone = []

    def receiver(sender, instance, **kwargs):
        gone.append(instance.pk)

    library()
    declare(delete(Book, "read_at"))
    pre_delete.connect(receiver, sender=Chapter)
    try:
        assert preview("job").jobs[0].inexact == ["signal receivers run when a testapp.Chapter is deleted"]
        run("job")
    finally:
        pre_delete.disconnect(receiver, sender=Chapter)
    assert len(gone) == 4


def test_rows_of_the_own_table_that_cascade_count_as_changed(run, preview, declare):
    root = Comment.objects.create(made_at=OLD)
    reply = Comment.objects.create(parent=root, made_at=YOUNG)
    Comment.objects.create(parent=reply, made_at=OLD)
    kept = Comment.objects.create(made_at=YOUNG)
    declare(delete(Comment, "made_at"))

    assert preview("job").jobs[0].due == 3
    assert run("job", batch_size=1).jobs[0].changed == 3
    assert set(Comment.objects.all()) == {kept}


def test_a_hold_at_any_depth_keeps_all_that_would_take_it_along(run, declare):
    comments = [Comment.objects.create(made_at=OLD)]
    for _ in range(4):
        comments.append(Comment.objects.create(parent=comments[-1], made_at=YOUNG))
    free = Comment.objects.create(made_at=OLD)
    Hold.objects.place(comments[-1])
    declare(delete(Comment, "made_at"))

    job = run("job").jobs[0]

    assert job.skipped == {"held": 1}
    assert set(Comment.objects.all()) == set(comments)
    assert not Comment.objects.contains(free)


def test_a_hold_on_a_child_keeps_its_parent(run, preview, declare):
    library()
    held = Footnote.objects.filter(chapter__book__read_at=OLD).first()
    Hold.objects.place(held)
    declare(delete(Book, "read_at"))

    seen, job = preview("job").jobs[0], run("job").jobs[0]

    assert (seen.due, seen.skipped) == (job.changed, job.skipped) == (1, {"held": 1})
    assert Footnote.objects.contains(held)


def test_a_cycle_in_the_data_ends(run, preview, declare):
    first = Comment.objects.create(made_at=OLD)
    second = Comment.objects.create(parent=first, made_at=YOUNG)
    Comment.objects.filter(pk=first.pk).update(parent=second)
    declare(delete(Comment, "made_at"))

    assert preview("job").jobs[0].due == 2
    assert run("job").jobs[0].changed == 2


def test_a_parent_table_takes_the_inherited_row_along(run, preview, declare):
    Truck.objects.create(made_at=OLD)
    kept = Vehicle.objects.create(made_at=YOUNG)
    declare(delete(Vehicle, "made_at"))

    seen, job = preview("job").jobs[0], run("job").jobs[0]

    assert (seen.due, seen.related) == (1, {"testapp.Truck": 1})
    assert (job.changed, job.related) == (1, {"testapp.Truck": 1})
    assert list(Vehicle.objects.all()) == [kept]
