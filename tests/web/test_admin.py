from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from session_cleanup import models
from session_cleanup.models import CleanupLease, CleanupRun, Hold, JobRun, Session
from session_cleanup.web.admin.states import state_of, with_died
from tests.factories import (
    AfterHoursFactory,
    DeclineFactory,
    FingerprintFactory,
    MemberFactory,
    OccurrenceFactory,
    ProfileFactory,
    SessionFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(hours=2)
UNSEEN = ("Claim", "UndoRecord", "PackingDictionary")  # what they hold is nobody's to read
SHIPPED = [getattr(models, name) for name in models.__all__ if name not in UNSEEN]
HISTORY = [CleanupRun, JobRun, CleanupLease]


def url(model: Any, page: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:session_cleanup_{model._meta.model_name}_{page}", args=args)


@pytest.fixture
def rows(record: Any, stored: Any) -> None:
    """One row of every model."""
    stored("2025-12", {})
    MemberFactory()
    DeclineFactory()
    FingerprintFactory()
    ProfileFactory()
    Hold.objects.place(SessionFactory())
    record("ok", jobs={"presentations-blank": "drained"})
    moment = timezone.now()
    series = OccurrenceFactory().series
    series.members.add(UserFactory())
    series.exceptions.create(date=moment.date())
    models.OccurrenceLog.objects.note("generated", Session.objects.filter(series=series), moment)
    CleanupLease.objects.create(job="carts", since=moment, expires_at=moment)
    kept = {"run_id": 1, "job": "carts", "model": "a.B", "kind": "deleted", "columns": []}
    models.UndoSet.objects.create(**kept, expires_at=moment)
    models.ArchiveFile.objects.create(run_id=1, job="carts", name="a", size=1, rows={}, created_at=moment)


def test_all_models_but_claims_undo_records_and_dictionaries_are_registered() -> None:
    ours = {model for model in admin.site._registry if model._meta.app_label == "session_cleanup"}
    assert ours == set(SHIPPED)


@pytest.mark.parametrize("model", SHIPPED)
def test_list_search_and_form_open(model: Any, rows: None, admin_client: Client) -> None:
    for query in ("", "?q=anything", "?o=1.2"):
        assert admin_client.get(url(model) + query).status_code == 200
    response = admin_client.get(url(model, "change", model._base_manager.first().pk))
    assert response.status_code == 200


@pytest.mark.parametrize("model", SHIPPED)
def test_a_list_costs_the_same_for_one_row_and_for_many(
    model: Any, rows: None, record: Any, admin_client: Client
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(url(model)).status_code == 200
        return len(captured)

    few = queries()
    for number in range(5):
        MemberFactory(session__owner=UserFactory())
        DeclineFactory()
        FingerprintFactory(user=UserFactory())
        ProfileFactory()
        Hold.objects.place(SessionFactory(owner=UserFactory()))
        record("running", ago=LONG_AGO, jobs={f"job-{number}": ""})
        moment = timezone.now()
        CleanupLease.objects.create(job=f"carts-{number}", since=moment, expires_at=moment)
    assert queries() == few


@pytest.mark.parametrize("model", HISTORY)
def test_history_is_read_only(model: Any, rows: None, admin_client: Client) -> None:
    row = model.objects.first()
    assert admin_client.get(url(model, "add")).status_code == 403
    assert admin_client.post(url(model, "change", row.pk), {"host": "x"}).status_code == 403
    assert admin_client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    admin_client.post(url(model), action)
    assert model.objects.filter(pk=row.pk).exists()


def test_a_run_shows_its_jobs(record: Any, admin_client: Client) -> None:
    run = record("failed", jobs={"presentations-blank": "failed", "after-hours-close": "drained"})
    JobRun.objects.update(error="OperationalError: no room")
    html = admin_client.get(url(CleanupRun, "change", run.pk)).content.decode()
    assert "presentations-blank" in html
    assert "after-hours-close" in html
    assert "OperationalError: no room" in html


def test_a_lease_keeps_its_token_to_itself(rows: None, admin_client: Client) -> None:
    lease = CleanupLease.objects.get()
    for page in (url(CleanupLease), url(CleanupLease, "change", lease.pk)):
        assert str(lease.token) not in admin_client.get(page).content.decode()


def test_died_is_shown_and_agrees_with_the_models(record: Any, admin_client: Client) -> None:
    record("running", ago=LONG_AGO, jobs={})
    record("running", jobs={})
    record("running", ago=LONG_AGO, jobs={"died": "", "failed": "failed"})
    alive = record("running", ago=LONG_AGO, jobs={"died": "", "running": ""})
    alive.jobs.filter(job="running").update(heartbeat_at=timezone.now())
    record("failed", ago=LONG_AGO, jobs={"died": ""})

    for model in (CleanupRun, JobRun):
        states = [(state_of(row).value, row.state) for row in with_died(model.objects.all())]
        assert all(ours == theirs for ours, theirs in states)
        assert {"died", "running", "failed"} <= {ours for ours, _ in states}
        assert ">died<" in admin_client.get(url(model)).content.decode()


def test_payloads_are_shown_nowhere(admin_client: Client) -> None:
    session = SessionFactory(payload={"cookies": [{"name": "sid", "value": "c00kie"}]})
    MemberFactory(session=session)
    FingerprintFactory(session=session)
    pages = [url(model) for model in SHIPPED] + [url(Session, "change", session.pk)]
    with CaptureQueriesContext(connection) as captured:
        assert all("c00kie" not in admin_client.get(page).content.decode() for page in pages)
    assert not any('"payload"' in query["sql"] for query in captured)


def _form(session: Session, **changes: Any) -> dict[str, Any]:
    moments = ("created_at", "last_activity_at")
    values = {"kind": session.kind, "title": session.title, "is_active": "on", "settings": "{}"}
    for name in moments:
        values[f"{name}_0"] = f"{getattr(session, name):%Y-%m-%d}"
        values[f"{name}_1"] = f"{getattr(session, name):%H:%M:%S}"
    return values | changes


def test_an_edit_leaves_all_other_columns_alone(admin_client: Client) -> None:
    """The user of a session is active while somebody edits its title."""
    session = SessionFactory(payload={"cookies": []}, expires_at=timezone.now().replace(microsecond=0))
    form = _form(session, title="New")
    form["expires_at_0"] = f"{session.expires_at:%Y-%m-%d}"
    form["expires_at_1"] = f"{session.expires_at:%H:%M:%S}"
    with CaptureQueriesContext(connection) as captured:
        response = admin_client.post(url(Session, "change", session.pk), form)
    assert response.status_code == 302, response.content.decode()
    update = next(query["sql"] for query in captured if query["sql"].startswith('UPDATE "session_cleanup_s'))
    assert '"title"' in update
    assert '"payload"' not in update
    assert '"expires_at"' not in update
    session.refresh_from_db()
    assert (session.title, session.payload) == ("New", {"cookies": []})


def test_a_session_can_be_added(admin_client: Client) -> None:
    form = _form(SessionFactory.build(), title="Added by hand")
    assert admin_client.post(url(Session, "add"), form).status_code == 302
    assert Session.objects.get().title == "Added by hand"


def test_orphans_are_listed_and_can_be_opened(admin_client: Client) -> None:
    """A join to what they refer to would hide exactly these rows."""
    fingerprint = FingerprintFactory(session=None, session_id=987654321, user=UserFactory())
    profile = ProfileFactory(user=None, user_id=987654321)
    for row in (fingerprint, profile):
        assert "987654321" in admin_client.get(url(type(row))).content.decode()
        assert admin_client.get(url(type(row), "change", row.pk)).status_code == 200


def test_a_hold_can_be_added_and_removed(admin_client: Client, admin_user: Any) -> None:
    session = SessionFactory()
    form = {"model": "session_cleanup.session", "object_pk": f" {session.pk}", "reason": "audit"}
    assert admin_client.post(url(Hold, "add"), form).status_code == 302
    hold = Hold.objects.get()
    assert hold.model == "session_cleanup.Session"
    assert hold.object_pk == str(session.pk)
    assert hold.created_by == admin_user.get_username()

    changed = {"reason": "", "until_0": "2030-01-01", "until_1": "00:00:00", "model": "x.Y"}
    assert admin_client.post(url(Hold, "change", hold.pk), changed).status_code == 302
    hold.refresh_from_db()
    assert (hold.model, hold.until.year) == ("session_cleanup.Session", 2030)

    assert admin_client.post(url(Hold, "delete", hold.pk), {"post": "yes"}).status_code == 302
    assert not Hold.objects.exists()


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"model": "shop.Cart", "object_pk": "1"}, "There is no such model"),
        ({"model": "session_cleanup.Session", "object_pk": "x"}, "has no row with this primary key"),
    ],
)
def test_a_hold_on_nothing_is_refused(form: Any, problem: str, admin_client: Client) -> None:
    response = admin_client.post(url(Hold, "add"), form)
    assert problem in response.content.decode()
    assert not Hold.objects.exists()


class ElsewhereRouter:
    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "other" if model is Session else None


def test_a_hold_where_no_run_would_look_is_refused(admin_client: Client, settings: Any) -> None:
    settings.DATABASE_ROUTERS = [ElsewhereRouter()]
    form = {"model": "session_cleanup.Session", "object_pk": "1"}
    response = admin_client.post(url(Hold, "add"), form)
    assert "live in the database “other”" in response.content.decode()
    assert not Hold.objects.exists()


def _hold(client: Client, *sessions: Session) -> Any:
    keys = [session.pk for session in sessions]
    return client.post(url(Session), {"action": "hold", "_selected_action": keys}, follow=True)


def test_selected_sessions_can_be_held(staff: Callable[..., Client], run: Any) -> None:
    now = timezone.now()
    first, second, third = (SessionFactory(expires_at=now - LONG_AGO) for _ in range(3))
    Hold.objects.place(second, reason="was here before")

    response = _hold(staff("view_session", "add_hold"), first, second)

    assert "1 session was put under a hold" in response.content.decode()
    assert Hold.objects.count() == 2
    assert Hold.objects.get(object_pk=first.pk).created_by.startswith("user")
    run("collaborative-expired", now=now)
    assert set(Session.objects.active()) == {first, second}
    third.refresh_from_db()
    assert not third.is_active


def test_who_may_not_add_holds_may_not_hold_sessions(staff: Callable[..., Client]) -> None:
    client = staff("view_session", "change_session")
    session = AfterHoursFactory()
    assert "Hold the selected sessions" not in client.get(url(Session)).content.decode()
    _hold(client, session)
    assert not Hold.objects.exists()
