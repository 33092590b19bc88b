"""System 3: a user has one open after-hours session, and is never locked out by an expired one."""

import pytest
from django.db import IntegrityError

from session_cleanup.models import Session
from tests.factories import DAY, NOW, SECOND, AfterHoursFactory, SessionFactory, UserFactory


def test_a_user_has_one_open_after_hours_session(db):
    owner = AfterHoursFactory(owner=UserFactory()).owner

    with pytest.raises(IntegrityError):
        Session.objects.start(owner, "after_hours", now=NOW)


@pytest.mark.parametrize("kind", ["presentation", "collaborative", "browser", "recurring"])
def test_no_other_kind_is_limited(db, kind):
    owner = UserFactory()
    AfterHoursFactory(owner=owner)

    SessionFactory(owner=owner, kind=kind)
    Session.objects.start(owner, kind, now=NOW)

    assert Session.objects.open().filter(owner=owner, kind=kind).count() == 2


def test_an_ended_session_leaves_room_for_a_new_one(db):
    owner = AfterHoursFactory(owner=UserFactory(), is_active=False, ended_at=NOW - DAY).owner

    assert Session.objects.start(owner, "after_hours", now=NOW).is_active


def test_start_closes_the_users_own_expired_session_so_that_nobody_is_locked_out(db):
    owner = UserFactory()
    expired = AfterHoursFactory(owner=owner, expires_at=NOW - SECOND)
    of_another_kind = SessionFactory(owner=owner, expires_at=NOW - SECOND)
    of_somebody_else = AfterHoursFactory(owner=UserFactory(), expires_at=NOW - SECOND)

    started = Session.objects.start(owner, "after_hours", now=NOW, title="New")

    expired.refresh_from_db()
    assert (expired.ended_at, expired.end_reason) == (NOW - SECOND, "expired")
    assert set(Session.objects.open()) == {started, of_another_kind, of_somebody_else}


def test_start_does_not_close_a_session_that_has_not_expired(db):
    current = AfterHoursFactory(owner=UserFactory(), expires_at=NOW)

    with pytest.raises(IntegrityError):
        Session.objects.start(current.owner, "after_hours", now=NOW)

    current.refresh_from_db()
    assert current.ended_at is None
