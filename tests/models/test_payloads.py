"""Payloads by themselves, and what a session keeps of its own."""

import json

import pytest
from django.db.models import Value

from session_cleanup.models import Session
from session_cleanup.models.payloads import Print, canonical, is_browser_payload
from tests.factories import SessionFactory

GOOD = {
    "cookies": [{"name": "sid", "value": "x", "secure": True}],
    "localStorage": {"theme": "dark"},
    "sessionStorage": {},
    "userAgent": "Mozilla/5.0",
    "viewport": {"width": 1280, "height": 720.5},
    "metadata": {},
}


@pytest.mark.parametrize(
    "payload", [GOOD, {}, {"cookies": []}, {"viewport": None, "metadata": None}, {"unknown": [1]}]
)
def test_what_can_be_a_browser_session(payload):
    assert is_browser_payload(payload)


@pytest.mark.parametrize(
    "payload",
    [
        *(None, [], "text", 1, True),
        *({"cookies": cookies} for cookies in ({}, "a=b", ["a=b"], [{"name": "a"}], [{"value": "b"}], [1])),
        *({key: []} for key in ("localStorage", "session_storage", "metadata")),
        *({"viewport": viewport} for viewport in ([1, 2], "1x2", {"width": "1280"}, {"width": True})),
    ],
)
def test_what_cannot(payload):
    assert not is_browser_payload(payload)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({1: "a", "b": 1}, {"b": 1, "1": "a"}),
        ([1e2, -0.0, 1e22], [100, 0, 10**22]),
        ("\u00e9", json.loads('"\\u00e9"')),
    ],
)
def test_equal_values_have_one_text(one, other):
    assert canonical(one) == canonical(other)
    assert Print.of(one) == Print.of(other)


@pytest.mark.parametrize(
    ("one", "other"), [(1, "1"), (1, True), (None, []), ({}, []), (0.1, 0.2), ("", None)]
)
def test_others_do_not(one, other):
    assert Print.of(one).digest != Print.of(other).digest


def test_the_size_is_that_of_the_compact_text_in_bytes():
    assert Print.of({"a": [1, "\u00e9"]}).size == len('{"a":[1,"\u00e9"]}'.encode())


def test_half_a_character_is_no_reason_to_fail():
    assert Print.of(json.loads('"\\ud800"')).size == 5


def known(session):
    session.refresh_from_db()
    return session.payload_valid, session.payload_digest, session.payload_size


def test_a_session_keeps_what_is_known_of_its_payload(db):
    session = SessionFactory(kind="browser", payload=GOOD)
    bad = SessionFactory(kind="browser", payload=[])

    assert known(session) == (True, Print.of(GOOD).digest, Print.of(GOOD).size)
    assert known(bad)[0] is False
    assert session.payload_checked_at == session.updated_at


def test_what_was_read_back_has_the_digest_of_what_was_written(db):
    payload = {"z": 1e5, "a": [1.0, -0.0, 1e-7, 2**70], "\u00e9": "\u2603", "n": None}
    session = SessionFactory(kind="browser", payload=payload)

    session.refresh_from_db()

    assert Print.of(session.payload).digest == session.payload_digest


def test_saving_the_payload_alone_keeps_it_too(db):
    session = SessionFactory(kind="browser", payload=GOOD)

    session.payload = []
    session.save(update_fields=["payload"])

    assert known(session)[0] is False


def test_saving_another_column_leaves_it_alone(db):
    session = SessionFactory(kind="browser", payload=GOOD)
    Session.objects.filter(pk=session.pk).update(payload_digest="x")

    again = Session.objects.defer("payload").get(pk=session.pk)
    again.title = "y"
    again.save()

    assert known(session) == (True, "x", Print.of(GOOD).size)


def test_many_at_once(db):
    Session.objects.bulk_create([Session(kind="browser", payload=GOOD)])

    assert known(Session.objects.get())[0] is True


def test_many_at_once_in_place_of_what_was_there(db):
    session = SessionFactory(kind="browser", payload=GOOD)
    fields = {"update_conflicts": True, "update_fields": ["payload"], "unique_fields": ["uid"]}

    Session.objects.bulk_create([Session(uid=session.uid, kind="browser", payload=[])], **fields)

    assert known(session)[0] is False


@pytest.mark.parametrize("payload", [GOOD, None, Value({}, Session._meta.get_field("payload"))])
def test_a_payload_of_which_the_model_is_not_told_is_not_known(db, payload):
    session = SessionFactory(kind="browser", payload=GOOD)

    Session.objects.update(payload=payload)

    assert known(session) == (None, None, None)
    assert session.payload_checked_at is None


def test_bulk_update_too(db):
    session = SessionFactory(kind="browser", payload=GOOD)
    session.payload = []

    Session.objects.bulk_update([session], ["payload"])

    assert known(session) == (None, None, None)


@pytest.mark.parametrize("values", [{"kind": "collaborative", "payload": GOOD}, {"kind": "browser"}])
def test_of_other_kinds_and_of_nothing_there_is_nothing_to_know(db, values):
    assert known(SessionFactory(**values)) == (None, None, None)
