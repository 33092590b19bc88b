"""What can be read off a condition. Where it cannot be proven, it must be said to be unproven."""

import pytest
from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Upper

from session_cleanup.models import Session
from session_cleanup.policies import RUN_CLOCK, Aged, Close, Deactivate, Orphaned, Update
from session_cleanup.policies.conditions import facts, falsifies, foreign_reads
from tests.testapp.models import Author, Book, Bookmark, Car, Chapter, Comment

A, B = ("title", "exact", "1"), ("is_active", "exact", True)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (Q(), []),
        (Q(title=1), [A]),
        (Q(title=1, is_active=True), [B, A]),  # in the order of Q
        (Q(title=1) & Q(is_active=True), [A, B]),
        (Q(Q(title=1), is_active=True), [A, B]),
        (Q(title__exact=1), [A]),
        (Q(title__in=[1, 2]), [("title", "in", ["1", "2"])]),
        (Q(title__isnull=True), [("title", "isnull", True)]),
        (Q(title=None), [("title", "isnull", True)]),
        (Q(title=1) | Q(is_active=True), []),
        (Q(title=1) & (Q(is_active=True) | Q(is_active=False)), [A]),
        (Q(title=1) ^ Q(is_active=True), []),
        (~Q(title=1), []),
        (Q(title=1) & ~Q(is_active=True), [A]),
        (Q(title__gt=1), []),
        (Q(author__name=1), []),
        (Q(title__startswith="x", is_active=True), [B]),
        (Q(author=7), [("author_id", "exact", 7)]),
        (Q(author_id="7"), [("author_id", "exact", 7)]),
        (Q(author=Author(pk=7)), [("author_id", "exact", 7)]),
        (Q(author="nobody", title=1), [A]),
        (Q(Exists(Book.objects.all()), title=1), [A]),
    ],
)
def test_facts_are_what_must_hold(where, found):
    assert list(facts(where, Book)) == found


PROVEN = [
    (Deactivate(), Q(is_active=True)),
    (Deactivate(), Q(is_active=True, title="x")),
    (Deactivate(), Q(is_active__in=[True])),
    (Update({"title": "new"}), Q(title="old")),
    (Update({"title": "new"}), Q(title__in=["old", "older"])),
    (Update({"author": None}), Q(author__isnull=False)),
    (Close(closed_at=RUN_CLOCK), Q(closed_at__isnull=True)),
    (Close(closed_at=RUN_CLOCK), Q(closed_at=None)),
    (Close(closed_at=F("read_at")), Q(closed_at__isnull=True)),  # the clock of what is due
    (Update({"title": F("id")}), Q(title=None)),
    (Update({"read_at": None}), Q()),
    (Update({"read_at": RUN_CLOCK}), Q()),
]
UNPROVEN = [
    (Deactivate(), Q()),
    (Deactivate(), Q(is_active=False)),
    (Deactivate(), Q(is_active=True) | Q(title="x")),
    (Deactivate(), ~Q(is_active=False)),
    (Deactivate(), Q(is_active__in=[True, False])),
    (Deactivate(), Q(author__is_active=True)),
    (Update({"title": "same"}), Q(title="same")),
    (Update({"title": 1}), Q(title="1")),
    (Update({"title": Upper("title")}), Q(title="old")),
    (Update({"title": Value("new")}), Q(title="old")),
    (Update({"title": "new"}), Q(title=F("id"))),
    (Update({"closed_at": F("closed_at")}), Q(closed_at__isnull=True)),
    (Update({"closed_at": None}), Q(closed_at__isnull=True)),
    (Update({"read_at": F("closed_at")}), Q()),
]


@pytest.mark.parametrize(("action", "where"), PROVEN)
def test_an_update_that_provably_ends_what_made_it_due(action, where):
    assert falsifies(action, where, Aged("read_at"), Book)


@pytest.mark.parametrize(("action", "where"), UNPROVEN)
def test_an_update_of_which_that_cannot_be_proven(action, where):
    assert not falsifies(action, where, Aged("read_at"), Book)


@pytest.mark.parametrize(("value", "proven"), [(None, True), (3, False)])
def test_an_orphan_is_none_when_its_reference_is_null(value, proven):
    action = Update({"vehicle_number": value})
    select = Orphaned("vehicle_number", model="testapp.Vehicle")

    assert falsifies(action, Q(), select, Car) is proven


@pytest.mark.parametrize(
    ("where", "model", "read"),
    [
        (Q(), Book, set()),
        (Q(title="x", author=1, author_id=1, pk=1), Book, set()),
        (Q(title__startswith="x", read_at__year=2020), Book, set()),
        (Q(author__isnull=True), Book, set()),
        (Q(author__in=[1, 2], author_id__gt=0), Book, set()),
        (Q(author__is_active=True), Book, {Author}),
        (~Q(author__is_active=True), Book, {Author}),
        (Q(title="x") | Q(author__is_active=True), Book, {Author}),
        (Q(chapters__isnull=True), Book, {Chapter}),
        (Q(chapters=1), Book, {Chapter}),
        (Q(book__author__is_active=True), Bookmark, {Book, Author}),
        (Q(tags__name="x"), Book, {Book.tags.rel.model}),
        (Q(parent__made_at=None), Comment, {Comment}),
        (Q(title=F("author__name")), Book, {Author}),
        (Q(title=F("id")), Book, set()),
        (Q(title=Upper("author__name")), Book, {None}),
        (Q(Exists(Book.objects.filter(pk=OuterRef("pk")))), Book, {None}),
        (Q(title__in=Author.objects.values("name")), Book, {None}),
        (Q(payload__theme="dark", settings__a__b=1), Session, set()),
    ],
)
def test_foreign_reads(where, model, read):
    assert foreign_reads(where, model) == read
