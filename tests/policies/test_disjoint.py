"""Conditions that no row can meet both: only then need a job not remember what it changed."""

import pytest
from django.db.models import Q

from session_cleanup.policies.conditions import disjoint
from tests.testapp.models import Book

NEVER_BOTH = [
    (Q(title="a"), Q(title="b"), {}),
    (Q(title="a", is_active=True), Q(Q(title="b"), is_active=True), {}),
    (Q(title="a"), Q(title="b"), {"is_active": False}),
]
PERHAPS_BOTH = [
    (Q(), Q(), {}),
    (Q(title="a"), Q(), {}),
    (Q(title="a"), Q(title="a"), {}),
    (Q(title="a"), Q(is_active=True), {}),
    (Q(title="a"), ~Q(title="b"), {}),
    (Q(title="a"), Q(title="b") | Q(is_active=True), {}),
    (Q(title="a"), Q(title__in=["a", "b"]), {}),
    (Q(title="a"), Q(title="b"), {"title": "b"}),  # the first job's rows become the second's
    (Q(author=1), Q(author="1"), {}),
    (Q(author=1), Q(author_id="1"), {}),
    (Q(author=1), Q(author=2), {"author_id": 2}),
    (Q(is_active=True), Q(is_active="True"), {}),
]


@pytest.mark.parametrize(("first", "second", "written"), NEVER_BOTH)
def test_conditions_that_no_row_can_meet_both(first, second, written):
    assert disjoint(first, second, written, Book)
    assert disjoint(second, first, written, Book)


@pytest.mark.parametrize(("first", "second", "written"), PERHAPS_BOTH)
def test_conditions_that_a_row_may_meet_both(first, second, written):
    assert not disjoint(first, second, written, Book)
    assert not disjoint(second, first, written, Book)
