"""All five kinds lie in one table; each job keeps to its own."""

import pytest

from session_cleanup.models import Session, SessionMember
from session_cleanup.models.sessions import BLANK
from session_cleanup.policies import registry
from tests.factories import DAY, NOW, MemberFactory, SessionFactory

KIND_OF = {
    "presentations-blank": "presentation",
    "collaborative-expired": "collaborative",
    "after-hours-close": "after_hours",
    "after-hours-ended": "after_hours",
    "browser-expired": "browser",
    "browser-orphaned": "browser",
    "browser-excess": "browser",
    "browser-invalid": "browser",
    "browser-compress": "browser",
    "browser-duplicates": "browser",
    "recurring-activate": "recurring",
    "recurring-close": "recurring",
    "recurring-archive": "recurring",
}
LONG_AGO = NOW - 400 * DAY
DUE_FOR_EVERYTHING = {
    "has_blank_presentation": True,
    "created_at": LONG_AGO,
    "expires_at": LONG_AGO,
    "last_activity_at": LONG_AGO,
    "starts_at": LONG_AGO,
    "visible_at": LONG_AGO,
}


KNOWN = {
    "payload": ["no object, and long enough to be compressed"] * 10,
    "payload_valid": False,
    "payload_digest": "same",
    "payload_checked_at": LONG_AGO,
    "updated_at": LONG_AGO,
}


@pytest.fixture
def all_kinds(db, settings):
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 1
    for kind in Session.Kind.values:
        session = SessionFactory(kind=kind, **DUE_FOR_EVERYTHING)
        MemberFactory(session=session)
        SessionFactory(kind=kind, is_active=False, **DUE_FOR_EVERYTHING)
        over = {"is_active": False, "ended_at": LONG_AGO, **DUE_FOR_EVERYTHING}
        for holder in (None, "7", "7"):
            SessionFactory(kind=kind, holder=holder, **over)
    Session.objects.update(**KNOWN)


def rows_of_other_kinds(kind=None):
    members = SessionMember.objects.exclude(session__kind=kind)
    sessions = Session.objects.exclude(kind=kind)
    return [*sessions.order_by("pk").values(), *members.order_by("pk").values()]


@pytest.mark.parametrize("job", KIND_OF)
def test_no_job_touches_another_kind(all_kinds, run, job):
    others = rows_of_other_kinds(KIND_OF[job])

    report = run(job)

    assert report.jobs[0].changed > 0
    assert rows_of_other_kinds(KIND_OF[job]) == others


def test_every_job_on_sessions_is_looked_at_here():
    """A new job is to be added to KIND_OF."""
    policies = registry.policies_among(registry.jobs())

    assert [job.name for job in policies if job.model == "session_cleanup.Session"] == list(KIND_OF)


def test_only_presentations_are_asked_for_by_blank(all_kinds):
    assert Session.objects.filter(BLANK).count() == 25
    assert set(Session.objects.blank().values_list("kind", flat=True)) == {"presentation"}
