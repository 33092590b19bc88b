"""What happens to rows: only those that really change are counted."""

import pytest
from django.db.models import F, Q

from session_cleanup.exceptions import PolicyError
from session_cleanup.policies import RUN_CLOCK, Aged, Close, Deactivate, Delete, Policy, Update
from session_cleanup.policies.actions import Effect, related_by
from session_cleanup.policies.claims import Claims
from tests.factories import DAY, NOW
from tests.testapp.models import Author, Book, Bookmark, Chapter, Comment, Footnote, Tag


def apply(action, *rows):
    model = type(rows[0])
    chosen = model._base_manager.filter(pk__in=[row.pk for row in rows])
    return action.apply(chosen, Claims("default", NOW))


def test_update_sets_constants_expressions_and_the_clock_of_the_run(db):
    book = Book.objects.create(read_at=NOW - DAY, title="old")

    effect = apply(Update({"title": "new", "closed_at": F("read_at"), "read_at": RUN_CLOCK}), book)

    book.refresh_from_db()
    assert (book.title, book.closed_at, book.read_at) == ("new", NOW - DAY, NOW)
    assert effect == Effect(1)


def test_update_leaves_other_rows_alone(db):
    book, other = Book.objects.create(), Book.objects.create()

    apply(Deactivate(), book)

    other.refresh_from_db()
    assert other.is_active


@pytest.mark.parametrize(
    ("action", "values"),
    [
        (Deactivate(), {"is_active": False}),
        (Deactivate("is_open"), {"is_open": False}),
        (Deactivate(stamp={"closed_at": RUN_CLOCK}), {"is_active": False, "closed_at": RUN_CLOCK}),
        (Close(closed_at=F("read_at")), {"closed_at": F("read_at")}),
    ],
)
def test_the_named_forms_say_what_they_set(action, values):
    assert dict(action.values) == values


def test_related_rows_that_already_have_the_values_are_not_counted(db):
    book, other = Book.objects.create(), Book.objects.create()
    for of, is_open in ((book, True), (book, True), (book, False), (other, True)):
        Chapter.objects.create(book=of, is_open=is_open)

    effect = apply(Deactivate(related={"chapters": {"is_open": False}}), book)

    assert effect == Effect(1, {"testapp.Chapter": 2})
    assert Chapter.objects.filter(is_open=True).get().book == other


def test_related_rows_with_nulls_change_when_null_is_not_the_value(db):
    """NULL <> x is unknown, so a plain comparison would leave them out."""
    book = Book.objects.create()
    for moment in (None, NOW, NOW - DAY):
        Bookmark.objects.create(book=book, placed_at=moment)

    effect = apply(Deactivate(related={"bookmarks": {"placed_at": NOW}}), book)

    assert effect.related == {"testapp.Bookmark": 2}
    assert Bookmark.objects.filter(placed_at=NOW).count() == 3


def test_related_rows_are_set_to_null_once(db):
    book = Book.objects.create()
    for moment in (None, NOW):
        Bookmark.objects.create(book=book, placed_at=moment)
    action = Update({"title": "x"}, related={"bookmarks": {"placed_at": None}})

    assert apply(action, book).related == {"testapp.Bookmark": 1}
    assert apply(action, book).related == {}


def test_several_values_of_a_related_row_change_it_when_one_differs(db):
    author = Author.objects.create()
    Book.objects.create(author=author, title="x", is_active=False)
    Book.objects.create(author=author, title="x", is_active=True)
    Book.objects.create(author=author, title="y", is_active=False)
    values = {"title": "x", "is_active": False}

    assert apply(Deactivate(related={"books": values}), author).related == {"testapp.Book": 2}


def test_the_clock_of_the_run_in_a_related_row(db):
    author = Author.objects.create()
    book = Book.objects.create(author=author)

    apply(Deactivate(related={"books": {"is_active": False, "closed_at": RUN_CLOCK}}), author)

    book.refresh_from_db()
    assert (book.is_active, book.closed_at) == (False, NOW)


@pytest.mark.parametrize("value", [RUN_CLOCK, F("placed_at"), F("placed_at") + DAY])
def test_an_effect_that_cannot_tell_what_is_done_is_refused(value):
    """Without a constant, a second look would change the same related rows again."""
    with pytest.raises(PolicyError, match=r"sets nothing constant on 'bookmarks'.* Set one column there"):
        Deactivate(related={"bookmarks": {"placed_at": value}})


def test_delete_counts_its_own_rows_and_each_model_that_goes_along(db):
    book = Book.objects.create()
    book.tags.add(Tag.objects.create(), Tag.objects.create())
    Footnote.objects.create(chapter=Chapter.objects.create(book=book))
    kept = Bookmark.objects.create(book=book)

    effect = apply(Delete(), book)

    assert effect.changed == 1
    assert effect.related == {
        "testapp.Chapter": 1,
        "testapp.Footnote": 1,
        "testapp.Book_tags": 2,
    }
    kept.refresh_from_db()
    assert kept.book is None


def test_delete_in_a_tree_counts_the_branches_as_its_own(db):
    root = Comment.objects.create()
    Comment.objects.create(parent=Comment.objects.create(parent=root))

    assert apply(Delete(), root) == Effect(3)


def test_an_update_that_sets_nothing_is_refused():
    with pytest.raises(PolicyError, match=r"sets nothing\. Name at least one column"):
        Update({})


@pytest.mark.parametrize(
    ("values", "related"),
    [(None, {}), ("title", {}), ({"title": ""}, ["chapters"]), ({"title": ""}, {"chapters": "is_open"})],
)
def test_an_update_of_anything_but_columns_and_values_is_refused(values, related):
    with pytest.raises(PolicyError, match="give dicts of column to value"):
        Update(values, related)


@pytest.mark.parametrize("build", [Close, lambda: Deactivate(related={"chapters": {}})])
def test_an_effect_that_sets_nothing_is_refused(build):
    with pytest.raises(PolicyError, match="sets nothing"):
        build()


@pytest.mark.parametrize("name", ["author", "title", "tags"])
def test_an_effect_follows_only_reverse_foreign_keys(name):
    with pytest.raises(PolicyError, match="is no reverse foreign key"):
        related_by(Book, name)


def same_rows(*wheres):
    """Policies that could all change the same books, each with its own condition."""
    return [
        Policy(
            name=f"job-{number}",
            model="testapp.Book",
            where=Q(where, title=""),
            select=Aged("read_at"),
            action=Update({"title": f"job-{number}"}),
        )
        for number, where in enumerate(wheres)
    ]


def test_a_row_is_changed_by_the_first_job_that_comes_to_it(run, preview, declare):
    book = Book.objects.create(read_at=NOW - DAY)
    later = Policy(
        name="later",
        model="testapp.Book",
        where=Q(is_active=True),
        select=Aged("read_at"),
        action=Deactivate(),
    )
    declare(*same_rows(Q()), later)

    assert [job.due for job in preview("job-0", "later").jobs] == [1, 0]
    assert [job.changed for job in run("job-0", "later").jobs] == [1, 0]
    book.refresh_from_db()
    assert (book.title, book.is_active) == ("job-0", True)


@pytest.mark.parametrize("spell", [str, int, lambda key: Author.objects.get(pk=key)])
def test_the_same_value_in_another_spelling_is_the_same_row(run, declare, spell):
    """Conditions that fix a column to two values cannot meet; 1 and "1" are one value."""
    author = Author.objects.create()
    Book.objects.create(author=author, read_at=NOW - DAY)
    first, second = same_rows(Q(author=author.pk), Q(author=spell(author.pk)))
    second = Policy(
        name="second",
        model="testapp.Book",
        where=Q(second.where.children[0], is_active=True),
        select=Aged("read_at"),
        action=Deactivate(),
    )
    declare(first, second)

    assert [job.changed for job in run("job-0", "second").jobs] == [1, 0]
