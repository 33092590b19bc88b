"""What a session can do: its transitions, and what the database itself refuses."""

import threading

import pytest
from django.db import IntegrityError, connection, transaction

from session_cleanup.models import Session, SessionMember
from tests.factories import (
    DAY,
    NOW,
    SECOND,
    DeclineFactory,
    MemberFactory,
    PresentationFactory,
    SessionFactory,
)

MINUTE = 60 * SECOND


def quiet_for(quiet, **values):
    return SessionFactory(**{"last_activity_at": NOW - quiet, "expires_at": NOW - quiet + 7 * DAY, **values})


def test_touch_moves_activity_and_expiry_forward(db):
    session = quiet_for(DAY)

    assert session.touch(NOW) is True

    session.refresh_from_db()
    assert (session.last_activity_at, session.expires_at) == (NOW, NOW + 7 * DAY)
    assert session.updated_at == NOW


def test_touch_uses_the_days_of_the_settings(db, settings):
    settings.SESSION_CLEANUP_INACTIVITY_DAYS = 30
    session = quiet_for(DAY)

    session.touch(NOW)

    assert session.expires_at == NOW + 30 * DAY


@pytest.mark.parametrize(("quiet", "written"), [(MINUTE, False), (MINUTE + SECOND, True)])
def test_touch_writes_at_most_once_a_minute(db, quiet, written):
    session = quiet_for(quiet)

    assert session.touch(NOW) is written

    session.refresh_from_db()
    assert session.last_activity_at == (NOW if written else NOW - quiet)


def test_touch_costs_one_statement_when_nothing_is_written(db, django_assert_num_queries):
    session = quiet_for(SECOND)

    with django_assert_num_queries(1):
        session.touch(NOW)


def test_touch_leaves_a_session_that_never_expires_so(db):
    session = quiet_for(DAY, expires_at=None)

    assert session.touch(NOW) is True

    session.refresh_from_db()
    assert (session.last_activity_at, session.expires_at) == (NOW, None)


def test_touch_never_shortens_a_longer_life(db):
    session = quiet_for(DAY, expires_at=NOW + 100 * DAY)

    session.touch(NOW)

    assert session.expires_at == NOW + 100 * DAY


def test_touch_does_not_bring_an_ended_session_back(db):
    session = quiet_for(DAY)
    Session.objects.filter(pk=session.pk).update(is_active=False, ended_at=NOW)

    assert session.touch(NOW) is False


def test_touch_by_a_late_process_does_not_move_the_dates_back(db):
    late = quiet_for(DAY)
    Session.objects.get(pk=late.pk).touch(NOW)

    assert late.touch(NOW - 5 * MINUTE) is False

    late.refresh_from_db()
    assert (late.last_activity_at, late.expires_at) == (NOW, NOW + 7 * DAY)


@pytest.mark.django_db(transaction=True)
def test_touch_by_two_at_once_is_written_once():
    session = quiet_for(DAY)
    barrier = threading.Barrier(2)
    written = []

    def touch():
        mine = Session.objects.get(pk=session.pk)
        barrier.wait()
        written.append(mine.touch(NOW))
        connection.close()

    threads = [threading.Thread(target=touch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(written) == [False, True]


def test_give_topic_and_mark_content_write_only_their_own_column(db):
    session = PresentationFactory(title="Deck")
    elsewhere = Session.objects.get(pk=session.pk)
    elsewhere.title = "Renamed"
    elsewhere.save()

    session.give_topic()
    Session.objects.get(pk=session.pk).mark_content()

    session.refresh_from_db()
    assert (session.title, session.has_topic, session.has_user_content) == ("Renamed", True, True)


@pytest.mark.parametrize("verb", ["give_topic", "mark_content"])
def test_a_presentation_that_was_given_something_is_not_blank(db, verb):
    session = PresentationFactory()
    assert list(Session.objects.blank()) == [session]

    getattr(session, verb)()

    assert not Session.objects.blank().exists()


def test_an_active_session_has_no_end(db):
    with pytest.raises(IntegrityError), transaction.atomic():
        SessionFactory(is_active=True, ended_at=NOW)

    SessionFactory(is_active=False, ended_at=NOW)


def test_a_user_is_a_member_once(db):
    member = MemberFactory()

    with pytest.raises(IntegrityError), transaction.atomic():
        MemberFactory(session=member.session, user=member.user)

    assert SessionMember.objects.count() == 1


def test_a_pair_has_one_decline_in_each_direction(db):
    decline = DeclineFactory()
    DeclineFactory(decliner=decline.declined, declined=decline.decliner)

    with pytest.raises(IntegrityError), transaction.atomic():
        DeclineFactory(decliner=decline.decliner, declined=decline.declined)


def test_a_session_outlives_its_owner(db, django_user_model):
    owner = django_user_model.objects.create(username="gone")
    session = SessionFactory(owner=owner)

    owner.delete()

    session.refresh_from_db()
    assert session.owner is None


def test_questions_split_the_sessions(db):
    active = SessionFactory()
    stopped = SessionFactory(is_active=False)
    ended = SessionFactory(is_active=False, ended_at=NOW)

    assert set(Session.objects.active()) == {active}
    assert set(Session.objects.inactive()) == {stopped, ended}
    assert set(Session.objects.open()) == {active, stopped}
