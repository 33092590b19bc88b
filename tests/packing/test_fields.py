"""A packed row is read as what was packed, by every way that Django reads and writes a row."""

import copy
import io
import json
import pickle
from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.core import serializers
from django.core.management import call_command
from django.db import connection
from django.db.models import F, JSONField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce
from django.forms import modelform_factory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from session_cleanup.exceptions import CorruptPacking, PackingError, UnknownDictionary
from session_cleanup.models import PackingDictionary
from session_cleanup.packing.fields import PackedJSONField
from session_cleanup.packing.values import PackedDict, PackedList
from tests.packing.conftest import BODIES, dictionary, documents, is_packed, put, stored
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db
BODY = BODIES[0]

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**63, 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(
        ["packed:", "packed:1:AAAA", "packed:=", "packed:=packed:", "enc:", '"', "\\", "\u2028"]
    ),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@pytest.fixture
def row(pack):
    [row] = documents(BODY)
    row.form = pack(row)
    return row


def read(row):
    return Document.objects.get(pk=row.pk)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=values)
def test_any_value_is_read_as_it_was_written(body):
    """As a JSONField gives it back: PostgreSQL keeps neither the sign of -0.0 nor that 1e20 is a float."""
    row = Document.objects.create(body=body)
    Document.objects.filter(pk=row.pk).update(body=body)
    found = read(row).body
    as_json = JSONField().from_db_value(stored(row), None, connection)

    if isinstance(body, str):
        assert found == body
        assert as_json == (f"packed:={body}" if body.startswith("packed:") else body)
    else:
        assert json.dumps(found) == json.dumps(as_json)
    row.delete()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.lists(values) | st.dictionaries(texts, values), codec=st.sampled_from(["zlib", "zstd"]))
def test_any_document_is_unpacked_as_it_was_packed(pack, body, codec):
    whole = {"padding": BODY, "body": body}
    [row] = documents(whole)
    before = stored(row)
    pack(row, codec)

    found = read(row)

    assert type(found.body) is PackedDict
    assert json.dumps(found.body) == json.dumps(json.loads(before))
    found.save()
    assert is_packed(row)
    found.body["padding"] = {}
    found.save()
    assert json.loads(stored(row)) == {**json.loads(before), "padding": {}}
    row.delete()


def test_a_list_is_a_list(pack):
    [row] = documents([BODY, BODY])
    pack(row)

    assert type(read(row).body) is PackedList
    assert read(row).body == [BODY, BODY]


@pytest.mark.parametrize("text", ["packed:1:AAAA", "packed:", "packed:=", "packed:=packed:1:AAAA", "enc:x"])
def test_a_string_that_looks_packed_is_a_string(text):
    [row] = documents(text)

    assert read(row).body == text
    assert Document.objects.filter(body=text).count() == 1
    assert not Document.objects.filter(body__is_packed=True).exists()
    read(row).save()
    assert read(row).body == text


def test_every_way_of_reading_gives_the_object(row):
    rows = Document.objects.filter(pk=row.pk)
    deferred = rows.defer("body").get()
    refreshed = rows.get()
    refreshed.body = None
    refreshed.refresh_from_db()

    assert rows.get().body == BODY
    assert rows.only("body").get().body == BODY
    assert deferred.body == BODY
    assert refreshed.body == BODY
    assert rows.values("body").get() == {"body": BODY}
    assert rows.values_list("body", flat=True).get() == BODY
    assert rows.annotate(again=F("body")).get().again == BODY
    assert rows.annotate(given=Coalesce("body", Value({}, PackedJSONField()))).get().given == BODY
    assert next(rows.iterator()).body == BODY
    assert Document.objects.raw("SELECT * FROM testapp_document")[0].body == BODY


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda body: pickle.loads(pickle.dumps(body))])
def test_an_untouched_save_keeps_the_packed_form(row, again):
    found = read(row)
    found.body = again(found.body)
    found.save()

    assert json.loads(stored(row)) == row.form


def test_every_way_of_writing_keeps_the_packed_form(row):
    body = read(row).body

    [other] = Document.objects.bulk_create([Document(body=body)])
    assert json.loads(stored(other)) == row.form
    again = read(row)
    Document.objects.bulk_update([again], ["body"])
    assert json.loads(stored(row)) == row.form
    Document.objects.update(body=body)
    assert json.loads(stored(row)) == row.form
    Document.objects.update_or_create(pk=row.pk, defaults={"body": body})
    assert json.loads(stored(row)) == row.form
    assert Document.objects.filter(body=body).count() == 2


def change_nested(body):
    body["cookies"][0]["value"] = "another"


def change_type(body):
    body["viewport"]["width"] = float(body["viewport"]["width"])


def add(body):
    body["new"] = True


def remove(body):
    del body["userAgent"]


@pytest.mark.parametrize("change", [change_nested, change_type, add, remove])
@pytest.mark.parametrize("save", [Document.save, lambda row: Document.objects.bulk_update([row], ["body"])])
def test_a_change_is_saved_whole(row, change, save):
    found = read(row)
    change(found.body)
    save(found)

    expected = copy.deepcopy(BODY)
    change(expected)
    assert not is_packed(row)
    assert json.dumps(read(row).body, sort_keys=True) == json.dumps(expected, sort_keys=True)


def test_what_is_made_of_it_is_an_ordinary_object(row):
    for made in (dict(read(row).body), read(row).body.copy(), read(row).body | {}):
        assert type(made) is dict
        read(row)
        Document.objects.filter(pk=row.pk).update(body=made)
        assert not is_packed(row)
        assert read(row).body == BODY


def test_questions_inside_see_rows_that_are_not_packed(row):
    [plain] = documents({"cookies": [], "viewport": {"width": 7}, "x": "packed:1:AAAA"})
    rows = Document.objects.order_by()

    assert rows.filter(body__viewport__width=7).get() == plain
    assert rows.filter(body__has_key="cookies").get() == plain
    assert rows.filter(body__x="packed:1:AAAA").get() == plain
    assert set(rows.values_list("body__viewport__width", flat=True)) == {7, None}
    assert rows.filter(body__x__isnull=False).values_list("body__x", flat=True).get() == "packed:1:AAAA"
    assert rows.annotate(x=KT("body__x")).filter(x__isnull=False).get().x == "packed:1:AAAA"
    shown = rows.annotate(x=Coalesce("body__x", Value("", JSONField()))).get(pk=plain.pk)
    assert shown.x == "packed:1:AAAA"


def test_fixtures_hold_the_plain_object_and_load_anywhere(row):
    for form in ("json", "jsonl", "xml", "python"):
        dumped = serializers.serialize(form, Document.objects.all())
        assert "packed:" not in str(dumped)
    out = io.StringIO()
    call_command("dumpdata", "testapp.Document", stdout=out)
    Document.objects.all().delete()

    for loaded in serializers.deserialize("json", out.getvalue()):
        loaded.save()

    assert read(row).body == BODY
    assert not is_packed(row)


def test_a_form_that_changes_nothing_keeps_the_packed_form(row):
    form_class = modelform_factory(Document, fields=["body"])
    found = read(row)
    posted = {"body": form_class(instance=found).initial["body"]}
    shown = form_class(instance=found)["body"].value()

    form = form_class({"body": json.dumps(posted["body"])}, instance=found)
    assert not form.has_changed()
    form.save()
    assert json.loads(stored(row)) == row.form

    form_class({"body": shown if isinstance(shown, str) else json.dumps(shown)}, instance=read(row)).save()
    assert json.loads(stored(row)) == row.form
    form_class({"body": '{"a": 1}'}, instance=read(row)).save()
    assert stored(row) == '{"a": 1}'


def test_the_admin_shows_it_and_saves_it(row, admin_client):
    from session_cleanup.models import Session

    session = Session.objects.create(kind="browser", payload=read(row).body)
    [field] = [each for each in admin.site._registry[Session].get_fieldsets(None) if each]
    del field
    response = admin_client.get(f"/admin/session_cleanup/session/{session.pk}/change/")

    assert response.status_code == 200
    assert is_packed(session, column="payload")


@pytest.mark.django_db(databases=["default", "other"])
def test_another_database_gets_what_it_can_read(pack, row):
    found = read(row)
    found.save(using="other")
    [there] = Document.objects.using("other")
    assert not is_packed(there, using="other")  # it has no such dictionary
    assert there.body == BODY

    mine = PackingDictionary.objects.get(version=int(row.form.split(":")[1]))
    PackingDictionary.objects.using("other").filter(version=mine.version).delete()
    mine.save(using="other", force_insert=True)
    found = read(row)
    found.save(using="other")
    assert is_packed(there, using="other")
    assert Document.objects.using("other").get().body == BODY


@pytest.mark.parametrize("codec", ["zlib", "zstd"])
@pytest.mark.parametrize(
    "spoilt",
    [
        lambda form: form[:-5],
        lambda form: form[:-40] + form[-40:].swapcase(),
        lambda form: form[:14],
        lambda form: form.replace(":", ";", 2).replace(";", ":", 1),
        lambda form: form + "AAAA",
        lambda form: "packed:0:AAAA",
        lambda form: "packed:",
    ],
)
def test_spoilt_data_is_a_clear_error_that_says_nothing_of_them(pack, codec, spoilt):
    [row] = documents(BODY)
    form = pack(row, codec)
    put(row, json.dumps(spoilt(form)))

    with pytest.raises(PackingError) as caught:
        read(row)

    assert "testapp.Document.body holds a packed document, and" in str(caught.value)
    assert form[20:40] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_dictionary_that_is_gone_is_named(row):
    PackingDictionary.objects.all()._raw_delete("default")

    with pytest.raises(UnknownDictionary, match=r"dictionary [0-9]+, which the database 'default'"):
        read(row)
    put(row, '"packed:999999999999999999:AAAAAAAA"')
    with pytest.raises(UnknownDictionary):
        read(row)


def test_another_dictionary_of_the_same_version_is_found_out(row):
    """A restored database, or a test that was rolled back."""
    read(row)  # it is cached now
    version = int(row.form.split(":")[1])
    mine = PackingDictionary.objects.get(version=version)
    before = mine.content
    PackingDictionary.objects.filter(pk=version).update(content=b"something else altogether", digest="x")
    put(row, json.dumps(row.form))

    assert read(row).body == BODY  # from the cache
    from session_cleanup.packing import dictionaries

    dictionaries.packer.cache_clear()
    with pytest.raises(CorruptPacking):
        read(row)
    PackingDictionary.objects.filter(pk=version).update(content=before, digest=mine.digest)
    assert read(row).body == BODY


@pytest.mark.parametrize("codec", ["zlib", "zstd"])
def test_a_bomb_does_not_go_off(codec, monkeypatch):
    bomb = f'{{"a": "{"A" * 3_000_000}"}}'
    packer = dictionary(codec)
    [row] = documents({})
    put(row, json.dumps(packer.packed(bomb)))
    assert len(read(row).body["a"]) == 3_000_000

    monkeypatch.setattr("session_cleanup.packing.packer.LIMIT", 1_000_000)

    assert packer.packed(bomb) is None
    with pytest.raises(CorruptPacking, match="far too long"):
        read(row)


def test_a_dictionary_is_loaded_once(row, django_assert_num_queries):
    documents(*BODIES[1:3])
    with django_assert_num_queries(2):
        list(Document.objects.all())
    with django_assert_num_queries(1):
        list(Document.objects.all())


def test_a_dictionary_is_not_deleted_while_it_is_in_use(row):
    from session_cleanup.exceptions import DictionaryInUse

    mine = PackingDictionary.objects.get(version=int(row.form.split(":")[1]))
    with pytest.raises(DictionaryInUse, match="newest"):
        mine.delete()
    newest = dictionary()
    for attempt in (mine.delete, PackingDictionary.objects.filter(pk=mine.pk).delete):
        with pytest.raises(DictionaryInUse, match=r"testapp\.Document\.body are packed with it"):
            attempt()
    Document.objects.update(body=BODY)
    mine.delete()

    assert list(PackingDictionary.objects.all().values_list("pk", flat=True)) == [newest.version]


def test_the_admin_shows_no_content_of_a_dictionary():
    assert "content" not in repr(dictionary())


def test_moments_and_such_are_written_by_the_encoder_of_the_field(row):
    found = read(row)
    found.body["at"] = datetime(2026, 1, 4, tzinfo=UTC)
    found.save()

    assert read(row).body["at"] == "2026-01-04T00:00:00Z"
