"""An archive: rows go only once they are kept elsewhere."""

import gzip
import hashlib
import json

import pytest
from django.core.files.storage import InMemoryStorage, storages

from session_cleanup.engine import archiving
from session_cleanup.models import ArchiveFile, UndoRecord, UndoSet
from session_cleanup.policies import Archive
from session_cleanup.policies.validation import problems
from tests.engine.test_restore import everything, job, take_back
from tests.factories import DAY, NOW, SECOND
from tests.testapp.models import Book, Bookmark, Chapter

pytestmark = pytest.mark.django_db
MARKER = "title-4711-marker"


@pytest.fixture
def storage(settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "session_cleanup_archive": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    }
    return storages["session_cleanup_archive"]


def fill(count=3):
    for number in range(count):
        book = Book.objects.create(read_at=NOW - SECOND, title=f"Book {number}")
        Chapter.objects.create(book=book)
        Bookmark.objects.create(book=book)


def test_to_undo_records_that_are_kept_for_ever(run, declare):
    declare(job(action=Archive(), undo=None))
    fill()
    before = everything()
    report = run("old-books")

    assert (report.jobs[0].action, report.jobs[0].changed) == ("archive", 3)
    assert min(UndoSet.objects.values_list("expires_at", flat=True)).year > 5000
    assert run("housekeeping-undo", now=NOW + 10_000 * DAY).jobs[0].changed == 0
    take_back(report.run)
    assert everything() == before


def test_to_undo_records_with_a_retention_of_their_own(run, declare):
    declare(job(action=Archive(keep=90 * DAY), undo=None))
    fill()
    run("old-books")

    assert set(UndoRecord.objects.values_list("expires_at", flat=True)) == {NOW + 90 * DAY}


def test_to_files(run, declare, storage):
    declare(job(action=Archive(to="storage"), undo=None, secret=("title",)))
    fill()

    report = run("old-books")

    assert (report.jobs[0].changed, report.jobs[0].related) == (3, {"testapp.Chapter": 3})
    assert not Book.objects.exists()
    assert not UndoRecord.objects.exists()
    line = ArchiveFile.objects.get()
    assert (line.run_id, line.job) == (report.run, "old-books")
    assert line.rows == {"testapp.Book": 3, "testapp.Chapter": 3}
    content = storage.open(line.name).read()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (line.sha256, line.size)
    head, *rows = map(json.loads, gzip.decompress(content).decode().splitlines())
    assert [each["model"] for each in head["sets"]] == [
        "testapp.Book",
        *[each["model"] for each in head["sets"][1:]],
    ]
    assert head["sets"][0]["left_out"] == ["title"]
    books = [row["row"] for row in rows if row["set"] == 0]
    assert len(books) == 3
    assert len(books[0]) == len(head["sets"][0]["columns"])
    assert "Book" not in line.name


def test_a_file_that_does_not_read_back_deletes_nothing(run, declare, storage, monkeypatch):
    declare(job(action=Archive(to="storage"), undo=None))
    fill()
    before = everything()
    save = InMemoryStorage.save
    monkeypatch.setattr(
        InMemoryStorage,
        "save",
        lambda self, name, content: save(self, name, type(content)(content.read()[:-1])),
    )

    report = run("old-books")

    assert report.jobs[0].end_state == "failed"
    assert "does not read back as it was written" in report.jobs[0].error
    assert everything() == before
    assert not ArchiveFile.objects.exists()


def test_a_row_that_changes_while_its_file_is_written_stays(run, declare, storage, monkeypatch):
    declare(job(action=Archive(to="storage"), undo=None))
    fill()
    write = archiving.ArchiveWriter._write
    changed = Book.objects.order_by("pk").first()

    def change(self):
        write(self)
        changed.title += "x"
        changed.save()

    monkeypatch.setattr(archiving.ArchiveWriter, "_write", change)
    report = run("old-books")

    assert report.jobs[0].changed == 2
    assert report.jobs[0].skipped == {"locked": 1}
    assert set(Book.objects.all()) == {changed}


def test_a_row_that_is_refreshed_while_its_file_is_written_stays(run, declare, storage, monkeypatch):
    declare(job(action=Archive(to="storage"), undo=None))
    fill()
    write = archiving.ArchiveWriter._write
    alive = Book.objects.order_by("pk").first()

    def refresh(self):
        write(self)
        Book.objects.filter(pk=alive.pk).update(read_at=NOW)

    monkeypatch.setattr(archiving.ArchiveWriter, "_write", refresh)

    assert run("old-books").jobs[0].changed == 2
    assert set(Book.objects.all()) == {alive}
    assert Chapter.objects.get().book == alive


def test_without_the_storage_it_is_refused(declare):
    declare(job(action=Archive(to="storage"), undo=None))

    assert [problem.id for problem in problems()] == ["E023"]


def test_a_preview_counts_what_an_archive_takes(preview, run, declare, storage):
    declare(job(action=Archive(to="storage"), undo=None))
    fill()

    expected = preview("old-books").jobs[0]
    done = run("old-books").jobs[0]

    assert (expected.due, expected.related) == (done.changed, done.related)
