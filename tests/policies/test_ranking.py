"""Excess and Duplicated: exactly so many, ties, NULL, what is protected, and both ways to ask."""

import pytest
from django.db.models import Exists, F, OuterRef, Q

from session_cleanup.exceptions import PolicyError
from session_cleanup.policies import Delete, Duplicated, Excess, Policy
from session_cleanup.policies.claims import AmongKeys, Claims
from session_cleanup.policies.selections import ONE_BY_ONE
from tests.factories import DAY, NOW, SECOND
from tests.policies.checking import found, message_of
from tests.testapp.models import Author, Book, Visit

ACTIVE = Q(is_active=True)


def due(select, **values):
    """The same rows, whether a preview asks for all of them or a run for some."""
    policy = Policy(name="job", model="testapp.Visit", select=select, action=Delete(), **values)
    claims = Claims("default", NOW)
    whole = set(policy.matching(claims))
    assert set(policy.matching(claims, part=ONE_BY_ONE)) == whole
    return whole


def visits(*ages, **values):
    """One for each age in days, None for no time at all."""
    values = {"author": None, "source": "a", **values}
    return [Visit.objects.create(came_at=None if age is None else NOW - age * DAY, **values) for age in ages]


@pytest.mark.parametrize("keep", [1, 2, 3, 4])
def test_the_newest_are_kept_and_the_others_due(db, keep):
    rows = visits(1, 2, 3, 0)
    newest_first = [rows[3], rows[0], rows[1], rows[2]]

    assert due(Excess("source", "came_at", keep=keep)) == set(newest_first[keep:])


def test_each_group_by_itself(db):
    for source, count in {"a": 1, "b": 2, "c": 3}.items():
        visits(*range(count), source=source)

    assert [visit.source for visit in due(Excess("source", "came_at", keep=2))] == ["c"]


def test_a_group_of_several_columns(db):
    first, second = Author.objects.create(), Author.objects.create()
    old, _ = visits(2, 1, author=first)
    visits(3, author=second)
    visits(4, author=first, source="b")

    assert due(Excess(("author", "source"), "came_at", keep=1)) == {old}


def test_ties_are_broken_by_the_key(db):
    first, second, third = visits(1, 1, 1)

    assert due(Excess("source", "came_at", keep=1)) == {first, second}
    assert due(Excess("source", "came_at", keep=2)) == {first}
    assert third.pk > second.pk


def test_null_is_in_no_group_and_has_no_place(db):
    visits(1, 2, 3, source=None)
    visits(None, None)
    newest, old = visits(1, 2)

    assert due(Excess("source", "came_at", keep=1)) == {old}
    assert due(Excess(("author", "source"), "came_at", keep=1)) == set()
    assert newest.pk


def test_the_condition_of_the_policy_says_what_has_a_rank(db):
    visits(0, 1, is_active=False)
    kept, old = visits(2, 3)

    assert due(Excess("source", "came_at", keep=1), where=ACTIVE) == {old}
    assert kept.pk


def test_protected_rows_are_never_due_and_take_their_place(db):
    """Of five the newest two are kept, one of them protected, and another protected one behind them."""
    visits(0, is_active=True)
    visits(1, is_active=False)
    behind = visits(2, 4, is_active=False)
    visits(3, is_active=True)

    assert due(Excess("source", "came_at", keep=2, protect=ACTIVE)) == set(behind)


def test_only_the_newest_that_is_protected_is_kept(db):
    visits(0, 1, is_active=False)
    newest_active, older_active = visits(2, 3, is_active=True)
    inactive = visits(4, is_active=False)

    assert due(Excess("source", "came_at", keep=2, protect_newest=ACTIVE)) == {older_active, *inactive}
    assert newest_active.pk


def test_the_newest_that_is_protected_may_be_among_the_newest(db):
    visits(0, is_active=True)
    older = visits(1, 2, is_active=True)

    assert due(Excess("source", "came_at", keep=1, protect_newest=ACTIVE)) == set(older)


def test_both_kinds_of_protection(db):
    protected = visits(5, is_active=False, digest="keep")
    visits(0, is_active=False)
    visits(1, is_active=True)
    due_ones = visits(2, 3, is_active=True)

    select = Excess("source", "came_at", keep=1, protect=Q(digest="keep"), protect_newest=ACTIVE)

    assert due(select) == set(due_ones)
    assert protected


def test_a_condition_that_is_neither_true_nor_false_protects_nothing(db):
    visits(0)
    unknown = visits(1, digest=None)

    assert due(Excess("source", "came_at", keep=1, protect=Q(digest="keep"))) == set(unknown)


def test_what_an_earlier_job_takes_has_no_rank(db):
    newest, middle, old = visits(0, 1, 2)
    policy = Policy(
        name="x", model="testapp.Visit", select=Excess("source", "came_at", keep=1), action=Delete()
    )
    claims = Claims("default", NOW)
    claims.delete(Visit, AmongKeys(F("pk"), [newest.pk]))
    claims.change(Visit, Exists(Visit.objects.filter(pk=OuterRef("pk"), came_at=middle.came_at)))

    assert set(policy.matching(claims)) == set(policy.matching(claims, part=ONE_BY_ONE)) == set()
    assert old.pk


def test_another_key_than_a_number_breaks_ties_too(db):
    Book.objects.bulk_create([Book(title="a", read_at=NOW) for _ in range(3)])
    policy = Policy(
        name="x", model="testapp.Book", select=Excess("title", "read_at", keep=1), action=Delete()
    )

    left = set(Book.objects.all()) - set(policy.matching(Claims("default", NOW)))

    assert left == {Book.objects.order_by("pk").last()}


@pytest.mark.parametrize(("keep", "kept"), [("newest", 2), ("first", 0)])
def test_of_equal_digests_one_is_kept(db, keep, kept):
    rows = visits(3, 2, 1, digest="same")
    visits(4, digest="other")

    assert due(Duplicated("source", "came_at", digest="digest", keep=keep)) == set(rows) - {rows[kept]}


def test_equal_digests_of_two_groups_are_no_copies(db):
    visits(1, digest="same")
    visits(2, digest="same", source="b")

    assert due(Duplicated("source", "came_at", digest="digest")) == set()


@pytest.mark.parametrize("column", ["digest", "source", "came_at"])
def test_null_has_no_copies(db, column):
    rows = visits(1, 1, digest="same")
    Visit.objects.update(**{column: None})

    assert due(Duplicated("source", "came_at", digest="digest")) == set()
    assert len(rows) == 2


@pytest.mark.parametrize("keep", ["newest", "first"])
def test_ties_of_copies_are_broken_by_the_key(db, keep):
    first, second = visits(1, 1, digest="same")

    assert due(Duplicated("source", "came_at", digest="digest", keep=keep)) == {
        first if keep == "newest" else second
    }


TOLD = {"checked_at": "checked_at", "changed_at": "changed_at"}


@pytest.mark.parametrize(
    ("checked", "changed", "counts"),
    [
        (NOW - DAY, NOW - 2 * DAY, True),
        (NOW - DAY, NOW - DAY, True),
        (NOW - DAY, NOW - DAY + SECOND, False),  # changed since
        (NOW, NOW - DAY, False),  # made in this run
        (None, NOW - DAY, False),
    ],
)
def test_a_digest_counts_that_was_made_since_the_change_and_before_the_run(db, checked, changed, counts):
    known = {"digest": "same", "checked_at": NOW - DAY, "changed_at": NOW - 2 * DAY}
    [newer] = visits(1, **known)
    [older] = visits(2, **{**known, "checked_at": checked, "changed_at": changed})
    select = Duplicated("source", "came_at", digest="digest", **TOLD)

    assert due(select) == ({older} if counts else set())
    Visit.objects.filter(pk=newer.pk).update(came_at=NOW - 3 * DAY)
    assert due(select) == ({newer} if counts else set())


@pytest.mark.parametrize("keep", [0, -1, True, 1.0, None, "1"])
def test_a_number_to_keep_that_would_keep_none_is_refused(keep):
    with pytest.raises(PolicyError, match=r"keep is .*\. Give a whole number from 1 up"):
        Excess("source", "came_at", keep=keep)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Excess((), "came_at", keep=1), r"group is \(\)\. Give"),
        (lambda: Excess(["a"], "came_at", keep=1), r"group is \['a'\]"),
        (lambda: Excess("a", "-came_at", keep=1), r"order is '-came_at'\. .* the greatest is the newest"),
        (lambda: Excess("a", "b", keep=1, protect={"x": 1}), r"protect is .* Give a Q object"),
        (lambda: Excess("a", "b", keep=1, protect_newest=True), r"protect_newest is True"),
        (lambda: Duplicated("a", "b", digest=None), r"digest is None"),
        (lambda: Duplicated("a", "b", digest="c", keep="oldest"), r"Choose 'newest' or 'first'"),
        (lambda: Duplicated("a", "b", digest="c", changed_at="d"), r"needs checked_at"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, message):
    with pytest.raises(PolicyError, match=message):
        make()


@pytest.mark.parametrize(
    "select",
    [
        Excess("nothing", "came_at", keep=1),
        Excess("source", "nothing", keep=1),
        Excess("clicks", "came_at", keep=1),
        Excess("source", "came_at", keep=1, protect=Q(nothing=1)),
        Excess("source", "came_at", keep=1, protect_newest=Q(nothing=1)),
        Excess("source", "came_at", keep=1, protect=Q(author__is_active=True)),
        Duplicated("source", "came_at", digest="nothing"),
        Duplicated("source", "came_at", digest="digest", checked_at="nothing"),
    ],
)
def test_e010_columns_that_are_not_there(declare, select):
    declare(Policy(name="x", model="testapp.Visit", select=select, action=Delete()))

    assert found() == ["E010"]


def test_w001_names_the_index_in_whose_order_groups_are_walked(declare):
    declare(
        Policy(name="x", model="testapp.Visit", select=Excess("source", "came_at", keep=1), action=Delete())
    )

    assert found() == ["W001"]
    assert "leads to 'source', 'came_at'," in message_of()


def test_an_index_on_group_and_order_serves(declare):
    select = Excess(("author", "source"), "came_at", keep=1)
    declare(Policy(name="x", model="testapp.Visit", select=select, action=Delete()))

    assert found() == []
