"""What is wrong with a policy and the model it names: each check id is provoked, alone."""

import pytest
from django.db.models import F, Q

from session_cleanup.exceptions import CodecMissing, ConfigurationError
from session_cleanup.policies import (
    RUN_CLOCK,
    Aged,
    Archive,
    Close,
    Compress,
    Deactivate,
    Delete,
    Orphaned,
    Update,
)
from session_cleanup.policies.actions import ARCHIVE
from tests.policies.checking import found, message_of, policy
from tests.testapp.models import Car, Vehicle


@pytest.mark.parametrize("model", ["testapp.Bok", "testap.Book", "nowhere.Nothing"])
def test_e007_an_unknown_model(declare, model):
    declare(policy(model=model))

    assert found() == ["E007"]
    assert model.startswith("nowhere") or "Did you mean 'testapp.Book'?" in message_of()


def test_e008_multi_table_inheritance(declare):
    declare(policy(model="testapp.Truck", select=Aged("made_at")))

    assert found() == ["E008"]
    assert "testapp.Vehicle" in message_of()


def test_e009_an_unknown_database(declare):
    declare(policy(database="othr"))

    assert found() == ["E009"]
    assert "Did you mean 'other'?" in message_of()


class Homes:
    """A router: in which database the models of `homes` live, by name; all others in "default"."""

    def __init__(self, **homes):
        self.homes = homes

    def db_for_write(self, model, **hints):
        return self.homes.get(model.__name__)

    db_for_read = db_for_write


class Replica(Homes):
    """A router that reads from "other", a copy of "default"."""

    def db_for_read(self, model, **hints):
        return "other"


ORPHANED_CAR = {"model": "testapp.Car", "select": Orphaned("vehicle_number", model="testapp.Vehicle")}
BY_ITS_AUTHOR = {"model": "testapp.Book", "where": Q(author__is_active=False)}
BY_ITS_READERS = {"model": "testapp.Book", "where": Q(bookmarks__placed_at__isnull=False)}
LOST_CHAPTER = {"model": "testapp.Chapter", "select": Orphaned("book")}


@pytest.mark.parametrize(
    ("values", "homes", "elsewhere"),
    [
        ({**ORPHANED_CAR, "database": "other"}, {}, "testapp.Vehicle"),
        (ORPHANED_CAR, {"Car": "other"}, "testapp.Vehicle"),
        (ORPHANED_CAR, {"Vehicle": "other"}, "testapp.Vehicle"),
        ({**LOST_CHAPTER, "database": "other"}, {}, "testapp.Book"),
        (BY_ITS_AUTHOR, {"Book": "other"}, "testapp.Author"),
        ({**BY_ITS_AUTHOR, "database": "other"}, {}, "testapp.Author"),
        (BY_ITS_READERS, {"Bookmark": "other"}, "testapp.Bookmark"),
    ],
)
def test_e009_what_decides_lives_in_another_database(declare, settings, values, homes, elsewhere):
    """There is a table of that name in each database, but the others' are empty: every row an orphan."""
    settings.DATABASE_ROUTERS = [Homes(**homes)]
    declare(policy(**values))

    assert found() == ["E009"]
    assert f"but {elsewhere}, which decides what is due, lives in" in message_of()


@pytest.mark.parametrize(
    ("values", "homes"),
    [
        (ORPHANED_CAR, {}),
        (ORPHANED_CAR, {"Car": "other", "Vehicle": "other"}),
        ({**ORPHANED_CAR, "database": "other"}, {"Vehicle": "other"}),
        ({**BY_ITS_AUTHOR, "database": "other"}, {"Author": "other"}),
        ({"where": Q(author__isnull=False), "database": "other"}, {}),  # reads its own column only
    ],
)
def test_what_decides_may_live_anywhere_with_its_policy(declare, settings, values, homes):
    settings.DATABASE_ROUTERS = [Homes(**homes)]
    declare(policy(**values))

    assert found() == []


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_job_is_refused_in_a_database_where_what_decides_does_not_live(run, declare, dry_run):
    car = Car.objects.using("other").create(vehicle_number=Vehicle.objects.create().pk)
    declare(policy(**ORPHANED_CAR))

    with pytest.raises(ConfigurationError, match=r"lives in 'default'\. Leave that job or --database out"):
        run("job", database="other", dry_run=dry_run)

    assert list(Car.objects.using("other").all()) == [car]


def test_what_is_read_from_a_copy_lives_where_it_is_written(declare, settings):
    settings.DATABASE_ROUTERS = [Replica()]
    declare(policy(name="cars", **ORPHANED_CAR), policy(name="books", **BY_ITS_AUTHOR))

    assert found() == []


@pytest.mark.parametrize(
    "values",
    [
        {"select": Aged("no_such_clock")},
        {"where": Q(no_such_field=1)},
        {"where": Q(author__no_such_field=1)},
        {"where": Q(title__no_such_lookup=1)},
        {"where": Q(is_active="perhaps")},
        {"columns": ("no_such_column",)},
        {"select": Orphaned("no_such_reference")},
        {"select": Orphaned("title")},
        {"select": Orphaned("title", model="testapp.Nothing")},
        {"action": Update({"no_such_field": 1})},
        {"action": Update({"id": None})},
        {"action": Update({"tags": 1})},
        {"action": Update({"title": None})},
        {"action": Update({"closed_at": "yesterday"})},
        {"action": Close(closed_at=F("no_such_field"))},
        {"action": Deactivate("is_activ")},
        {"action": Deactivate(related={"no_such_relation": {"is_open": False}})},
        {"action": Deactivate(related={"author": {"is_active": False}})},
        {"action": Deactivate(related={"tags": {"name": ""}})},
        {"action": Deactivate(related={"chapters": {"no_such_field": False}})},
    ],
)
def test_e010_a_field_or_relation_that_does_not_fit(declare, values):
    declare(policy(**{"where": Q(is_active=True), **values}))

    assert found() == ["E010"]


@pytest.mark.parametrize(
    ("model", "reference", "target"),
    [
        ("testapp.Book", "title", "testapp.Book"),  # a text, and a UUID
        ("testapp.Ticket", "code", "testapp.Book"),
        ("testapp.Book", "title", "testapp.Author"),  # a text, and a number
        ("testapp.Car", "vehicle_number", "testapp.Book"),
        ("testapp.Car", "vehicle_number", "testapp.Ticket"),
        ("testapp.Book", "read_at", "testapp.Author"),
    ],
)
def test_e010_a_reference_of_another_kind_than_the_key(declare, model, reference, target):
    """Nothing would match, and every row would be an orphan."""
    declare(policy(model=model, select=Orphaned(reference, model=target)))

    assert found() == ["E010"]
    assert "they would never match" in message_of()


@pytest.mark.parametrize(
    ("model", "reference", "target"),
    [
        ("testapp.Car", "vehicle_number", "testapp.Vehicle"),
        ("testapp.Car", "vehicle_number", "testapp.Truck"),  # whose key is a reference itself
        ("testapp.Book", "title", "testapp.Ticket"),
        ("testapp.Book", "title", "sessions.Session"),
    ],
)
def test_a_reference_of_the_kind_of_the_key_is_fine(declare, model, reference, target):
    declare(policy(model=model, select=Orphaned(reference, model=target)))

    assert [each for each in found() if each != "W001"] == []


def test_e010_related_rows_that_no_text_names_for_certain(declare):
    shipped = Update({"paid_at": None}, related={"lines": {"shipped_at": None}})
    declare(policy(model="testapp.Order", select=Aged("paid_at"), action=shipped))

    assert found() == ["E010"]
    assert "the key of testapp.OrderLine cannot be named as text" in message_of()


@pytest.mark.parametrize(
    "select",
    [
        Aged("chapters__is_open"),
        Aged("author__seen_at__year"),
        Aged("read_at", unreferenced_by="author"),
        Aged("read_at", unreferenced_by="nothing"),
    ],
)
def test_e010_a_selection_that_leads_nowhere(declare, select):
    declare(policy(select=select))

    assert found() == ["E010"]


def test_nothing_is_wrong_with_a_clock_behind_a_foreign_key(declare):
    declare(policy(select=Aged("author__seen_at", unreferenced_by="chapters")))

    assert found() == []


@pytest.mark.parametrize("clock", ["title", "is_active", "author", "id", "author__name"])
def test_e011_a_clock_that_is_no_date_or_time(declare, clock):
    declare(policy(select=Aged(clock)))

    assert found() == ["E011"]


@pytest.mark.parametrize(
    "values",
    [
        {"action": Deactivate()},
        {"action": Deactivate(), "where": Q(is_active=True) | Q(title="x")},
        {"action": Deactivate(), "where": ~Q(is_active=False)},
        {"action": Update({"title": "x"}), "where": Q(title="x")},
        {"action": Close(closed_at=F("closed_at")), "where": Q(closed_at__isnull=True)},
    ],
)
def test_e012_an_update_that_leaves_its_condition_true(declare, values):
    declare(policy(**values))

    assert found() == ["E012"]


@pytest.mark.parametrize(
    "values",
    [
        {"action": Deactivate(), "where": Q(is_active=True)},
        {"action": Close(closed_at=F("read_at")), "where": Q(closed_at__isnull=True)},
        {"action": Close(closed_at=RUN_CLOCK), "where": Q(closed_at=None)},
        {"action": Update({"read_at": RUN_CLOCK})},
        {"action": Update({"title": "done"}), "where": Q(title__in=["new", "old"])},
    ],
)
def test_an_update_that_makes_its_condition_false_is_fine(declare, values):
    declare(policy(**values))

    assert found() == []


@pytest.mark.parametrize(
    ("model", "clock", "kind"),
    [
        ("Price", "set_at", "DecimalField"),
        ("Host", "seen_at", "GenericIPAddressField"),
        ("Moment", "at", "DateTimeField"),
        ("OrderLine", "shipped_at", "CompositePrimaryKey"),
    ],
)
@pytest.mark.parametrize("action", [Delete(), Update({"clock": None})])
def test_e014_a_key_that_no_text_names_for_certain(declare, model, clock, kind, action):
    declare(policy(model=f"testapp.{model}", select=Aged(clock), action=action))

    assert found() == ["E014"]
    assert f"the primary key of testapp.{model} is a {kind}" in message_of()


@pytest.mark.parametrize("model", ["Order", "Ticket", "Book"])
def test_a_key_that_is_a_number_a_text_or_a_uuid_is_fine(declare, model):
    clocks = {"Order": "paid_at", "Ticket": "day", "Book": "read_at"}
    declare(policy(model=f"testapp.{model}", select=Aged(clocks[model])))

    assert found() == []


PACKING = {"model": "testapp.Document", "select": Aged("made_at"), "action": Compress("body", codec="zstd")}


def test_e010_a_column_that_cannot_read_packed_documents(declare):
    declare(policy(model="session_cleanup.CleanupRun", select=Aged("started_at"), action=Compress("options")))

    assert found() == ["E010"]
    assert "CleanupRun.options is a JSONField, which cannot read packed documents" in message_of()


def test_e016_a_codec_that_is_not_installed(declare, monkeypatch):
    declare(policy(**PACKING))
    assert found() == []

    def nothing():
        raise CodecMissing("Install something.")

    monkeypatch.setattr("session_cleanup.packing.codecs._zstd", nothing)
    assert found() == ["E016"]
    assert "Install something." in message_of()


def test_w006_a_condition_that_looks_into_what_may_be_packed(declare):
    declare(policy(**PACKING | {"where": Q(body__isnull=False, body__is_packed=False)}))
    assert found() == []

    declare(policy(**PACKING | {"where": Q(body__viewport__width=7)}))
    assert found() == ["W006"]
    assert "'body__viewport__width' looks into testapp.Document.body" in message_of()


def test_w001_no_index_leads_to_the_clock(declare):
    declare(policy(select=Aged("closed_at")))

    assert found() == ["W001"]


@pytest.mark.parametrize(
    "secret", ["nothing", "id", "author", "shop.Nothing.name", "testapp.Chapter.book", "a.b.c.d"]
)
def test_e022_a_secret_that_is_none(declare, secret):
    declare(policy(secret=(secret,)))
    assert found() == ["E022"]

    declare(policy(secret=("title", "testapp.Chapter.is_open")))
    assert found() == []


def test_e022_a_secret_that_a_model_does_not_have(declare, monkeypatch):
    declare()
    monkeypatch.setattr(Car, "cleanup_secret", ("vehicle_numbr",), raising=False)

    assert "E022" in found()
    assert "testapp.Car.cleanup_secret" in message_of()


def test_e023_a_storage_that_is_not_there(declare, settings):
    declare(policy(action=Archive(to="storage")))
    assert found() == ["E023"]

    settings.STORAGES = {**settings.STORAGES, ARCHIVE: {"BACKEND": "a.storage"}}
    assert found() == []
