"""Undo records: no row goes without one, none is left of what stayed, and no secret is in them."""

import threading
from pathlib import Path

import pytest
from django.db import connection
from django.db.models import Q
from django.db.models.signals import pre_delete

from session_cleanup.engine import runner
from session_cleanup.engine.counts import Counts
from session_cleanup.engine.report import RunRequest
from session_cleanup.exceptions import PolicyError
from session_cleanup.models import Session, UndoRecord, UndoSet
from session_cleanup.policies import Aged, Archive, Policy, Update
from tests.engine.running import another
from tests.engine.test_restore import MONTH, everything, job, take_back
from tests.factories import DAY, NOW, SECOND, MemberFactory, PresentationFactory, SessionFactory
from tests.testapp.models import Book, Chapter, Comment

MARKER = "cookie-4711-marker"
KEY, OTHER_KEY = (
    "b2Zmc2V0LWtleS1mb3ItdGVzdHMtb25seS0wMDAwMDE=",
    "b2Zmc2V0LWtleS1mb3ItdGVzdHMtb25seS0wMDAwMDI=",
)


def kept():
    return {(saved.model, saved.kind): saved for saved in UndoSet.objects.all()}


def count_of(model, kind="deleted"):
    return UndoRecord.objects.filter(set_id=kept()[model, kind].pk).count()


def blank(**values):
    return PresentationFactory(created_at=NOW - 3 * DAY, **values)


# What is recorded


@pytest.mark.django_db
def test_as_many_records_as_rows(run, declare):
    declare(job())
    for _ in range(5):
        Chapter.objects.create(book=Book.objects.create(read_at=NOW - SECOND))
    Book.objects.create(read_at=NOW)

    report = run("old-books").jobs[0]

    assert (report.changed, report.related) == (5, {"testapp.Chapter": 5})
    assert (count_of("testapp.Book"), count_of("testapp.Chapter")) == (5, 5)
    assert UndoRecord.objects.count() == 10


@pytest.mark.django_db
def test_no_undo_no_records(run, declare):
    declare(job(undo=None))
    Book.objects.create(read_at=NOW - SECOND)

    assert run("old-books").jobs[0].changed == 1
    assert not UndoSet.objects.exists()


@pytest.mark.django_db
def test_the_days_of_the_shipped_systems(run, settings):
    blank()
    run("presentations-blank")
    assert {saved.expires_at for saved in UndoSet.objects.all()} == {NOW + 30 * DAY}
    UndoSet.objects.all().delete()
    settings.SESSION_CLEANUP_UNDO_DAYS = 0
    blank()
    assert run("presentations-blank").jobs[0].changed == 1
    assert not UndoSet.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("walk", ["heap", "keyset"])
def test_what_others_change_meanwhile_is_recorded_as_it_was_deleted(declare, settings, walk):
    """Captured by one statement, deleted by the next with the same predicate: 100 captured, 102 deleted."""
    settings.SESSION_CLEANUP_WALK = walk
    declare(job())
    Book.objects.bulk_create([Book(read_at=NOW - SECOND) for _ in range(3000)])
    stop = threading.Event()

    def disturb():
        with another() as other, other.cursor() as cursor:
            for _ in range(300):
                if stop.is_set():
                    break
                for change in (
                    "UPDATE testapp_book SET title = left(title, 40) || 'x' WHERE ctid IN "
                    "(SELECT ctid FROM testapp_book TABLESAMPLE SYSTEM (20) LIMIT 20)",
                    "UPDATE testapp_book SET read_at = CASE WHEN random() < 0.5 THEN %s END WHERE ctid IN "
                    "(SELECT ctid FROM testapp_book TABLESAMPLE SYSTEM (20) LIMIT 20)",
                    "INSERT INTO testapp_book (id, title, is_active, read_at) "
                    "SELECT gen_random_uuid(), 'new', true, %s FROM generate_series(1, 5)",
                ):
                    params = [NOW - SECOND] if "%s" in change else []
                    cursor.execute(change, params)

    thread = threading.Thread(target=disturb, daemon=True)
    log = """
        CREATE TABLE gone (data text);
        CREATE FUNCTION log_gone() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO gone VALUES (OLD::text); RETURN NULL; END $$;
        CREATE TRIGGER log_gone AFTER DELETE ON testapp_book FOR EACH ROW EXECUTE FUNCTION log_gone()
    """
    with connection.cursor() as cursor:
        cursor.execute(log)
        try:
            thread.start()
            for _ in range(3):
                runner.run(RunRequest(jobs=("old-books",)), now=NOW)
            stop.set()
            thread.join()
            cursor.execute("SELECT data FROM gone ORDER BY 1")
            gone = cursor.fetchall()
            cursor.execute("SELECT data FROM session_cleanup_undorecord ORDER BY 1")
            assert cursor.fetchall() == gone
            assert len(gone) > 3000
        finally:
            stop.set()
            cursor.execute("DROP TRIGGER log_gone ON testapp_book; DROP FUNCTION log_gone; DROP TABLE gone")


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_fails_leaves_neither_deletion_nor_record(declare, monkeypatch):
    declare(job())
    Book.objects.create(read_at=NOW - SECOND)
    before = everything()

    def fail(*args, **values):
        raise RuntimeError("now")

    monkeypatch.setattr(Counts, "entry", fail)
    report = runner.run(RunRequest(jobs=("old-books",)), now=NOW)

    assert report.jobs[0].end_state == "failed"
    assert everything() == before
    assert not UndoRecord.objects.exists()


@pytest.mark.django_db
def test_what_django_itself_deletes_is_recorded(run, declare):
    """With receivers the collector does it."""
    declare(job(name="c", model="testapp.Comment", select=Aged("made_at")))
    root = Comment.objects.create(made_at=NOW - SECOND)
    Comment.objects.create(parent=Comment.objects.create(parent=root))
    seen = []

    def receiver(instance, **kwargs):
        seen.append((instance.pk, Comment.objects.filter(pk=instance.pk).exists()))

    pre_delete.connect(receiver, sender=Comment)
    try:
        report = run("c").jobs[0]
    finally:
        pre_delete.disconnect(receiver, sender=Comment)

    assert report.changed == 3
    assert sorted(seen) == sorted({(pk, True) for pk, _ in seen})
    assert count_of("testapp.Comment") == 3


# Secrets


def written_anywhere(marker):
    """Whether a text stands in our tables, also where they or their indexes lie on the disk."""
    found = []
    with connection.cursor() as cursor:
        for model in (UndoRecord, UndoSet):
            if connection.vendor == "postgresql":
                cursor.execute(
                    f"SELECT count(*) FROM {model._meta.db_table} t WHERE t::text LIKE %s", [f"%{marker}%"]
                )
                found.append(cursor.fetchone()[0])
    if connection.vendor == "sqlite":
        found.append(marker.encode() in Path(connection.settings_dict["NAME"]).read_bytes())
    return any(found)


@pytest.mark.django_db(transaction=True)
def test_without_keys_a_secret_is_not_kept_and_comes_back_empty(caplog, capsys):
    session = blank(payload={"cookies": [{"name": "id", "value": MARKER}]})
    report = runner.run(RunRequest(jobs=("presentations-blank",)), now=NOW)
    if connection.vendor == "sqlite":
        sql_vacuum()
    assert report.jobs[0].changed == 1
    assert not written_anywhere(MARKER)

    done = take_back(report.run)

    again = Session.objects.get(pk=session.pk)
    assert (again.payload, again.title, again.uid) == (None, session.title, session.uid)
    assert done.jobs[0].emptied == [
        "session_cleanup.Session.payload",
        "session_cleanup.Session.payload_digest",
    ]
    assert MARKER not in repr(done) + caplog.text + "".join(capsys.readouterr())


def sql_vacuum():
    """What was deleted may still lie in free pages of the file: it is not what this is about."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")


@pytest.mark.django_db(transaction=True)
def test_with_keys_a_secret_is_encrypted_and_comes_back(settings):
    settings.SESSION_CLEANUP_UNDO_KEYS = [KEY]
    blank(payload={"cookies": [{"name": "id", "value": MARKER, "quote": 'a "b" \\ , )'}]})
    blank(payload=None)
    MemberFactory(session=blank(payload=""))
    before = everything()
    report = runner.run(RunRequest(jobs=("presentations-blank",)), now=NOW)
    if connection.vendor == "sqlite":
        sql_vacuum()
    assert not written_anywhere(MARKER)
    settings.SESSION_CLEANUP_UNDO_KEYS = [OTHER_KEY, KEY]  # a new key; the old one still opens

    done = take_back(report.run)

    assert done.jobs[0].emptied == []
    assert everything() == before


@pytest.mark.django_db
def test_a_record_that_no_key_opens_is_left_alone(run, settings):
    settings.SESSION_CLEANUP_UNDO_KEYS = [KEY]
    blank(payload={"a": 1})
    open_one = blank()
    report = run("presentations-blank")
    for keys in ([OTHER_KEY], []):
        settings.SESSION_CLEANUP_UNDO_KEYS = keys
        done = take_back(report.run) if not keys else None
    assert done.jobs[0].left_alone == {"closed": 1}
    assert set(Session.objects.all()) == {open_one}
    settings.SESSION_CLEANUP_UNDO_KEYS = [KEY]
    assert take_back(report.run).exit_status == 0


@pytest.mark.django_db
def test_an_update_of_a_secret(run, declare, settings):
    policy = Policy(
        name="forget",
        model="session_cleanup.Session",
        where=Q(payload__isnull=False),
        select=Aged("created_at"),
        action=Update({"payload": None, "title": "forgotten"}),
        undo=MONTH,
    )
    declare(policy)
    for keys in ([], [KEY]):
        settings.SESSION_CLEANUP_UNDO_KEYS = keys
        session = SessionFactory(created_at=NOW - SECOND, payload={"a": MARKER}, title="mine")
        report = run("forget")
        assert report.jobs[0].changed == 1
        assert not written_anywhere(MARKER)
        take_back(report.run)
        session.refresh_from_db()
        assert session.title == "mine"
        assert session.payload == ({"a": MARKER} if keys else None)


# What cannot be meant


@pytest.mark.parametrize("undo", [30, SECOND, -DAY, 3651 * DAY])
def test_an_undo_that_cannot_be_meant(undo):
    with pytest.raises(PolicyError, match="Give a timedelta from an hour to 3650 days"):
        job(undo=undo)


def test_an_archive_is_not_kept_twice():
    with pytest.raises(PolicyError, match="Leave `undo` out"):
        job(action=Archive())


@pytest.mark.parametrize(
    "options", [{"to": "tape"}, {"keep": 5}, {"keep": SECOND}, {"to": "storage", "keep": DAY}]
)
def test_an_archive_that_cannot_be_meant(options):
    with pytest.raises(PolicyError, match="Archive"):
        Archive(**options)
