"""The index that a policy wants: columns with one value, the clock, the key; the rest is its condition."""

from django.db.models import Q

from session_cleanup.models import Session
from session_cleanup.policies import Aged, Delete, Policy
from session_cleanup.policies.indexes import as_code, served_by_index, wanted_index


def policy(where, clock="created_at"):
    return Policy(name="x", model="session_cleanup.Session", where=where, select=Aged(clock), action=Delete())


def test_what_is_equal_comes_first_and_the_key_last():
    index = wanted_index(policy(Q(kind="browser", title="x")), Session)

    assert (index.fields, index.condition) == (["kind", "title", "created_at", "id"], None)


def test_null_true_and_false_are_its_condition():
    where = Q(kind="browser", is_active=False, ended_at__isnull=True, expires_at__isnull=False)
    index = wanted_index(policy(where), Session)

    assert index.fields == ["kind", "created_at", "id"]
    assert index.condition == Q(is_active=False, ended_at__isnull=True, expires_at__isnull=False)


def test_it_is_written_as_in_a_model():
    code = as_code(wanted_index(policy(Q(kind="browser", ended_at__isnull=True)), Session))

    assert code.startswith(
        "models.Index(fields=['kind', 'created_at', 'id'], condition=Q(ended_at__isnull=True), name='"
    )


def test_an_index_that_holds_only_some_of_the_rows_leads_to_none():
    """idx_sessions_suspect begins with kind and updated_at, and idx_sessions_open_expired with expires_at."""
    assert not served_by_index(policy(Q(kind="browser"), "updated_at"), Session)
    assert not served_by_index(policy(Q(title="x"), "expires_at"), Session)
    assert served_by_index(policy(Q(title="x", ended_at=None), "expires_at"), Session)


def test_a_column_that_must_not_be_null_has_many_values():
    """idx_sessions_ended begins with kind and ended_at."""
    assert not served_by_index(policy(Q(kind="x", ended_at__isnull=False), "last_activity_at"), Session)
    assert served_by_index(policy(Q(kind="x", is_active=True), "expires_at"), Session)
