"""Packed documents that go with their rows, and come back with them."""

import pytest
from cryptography.fernet import Fernet

from session_cleanup.engine.restore_report import RestoreRequest
from session_cleanup.engine.restores import restore
from session_cleanup.exceptions import DictionaryInUse, PolicyError
from session_cleanup.models import PackingDictionary, UndoRecord
from session_cleanup.policies import Compress, Delete
from tests.factories import DAY, NOW
from tests.packing.conftest import BODIES, dictionary, documents, is_packed, policy, stored
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[(), ("body",)], ids=["open", "secret"])
def deleted(request, run, declare, pack, settings):
    """A packed document that a run has deleted and keeps, and the number of that run."""
    settings.SESSION_CLEANUP_UNDO_KEYS = [Fernet.generate_key().decode()]
    declare(policy(action=Delete(), undo=30 * DAY, secret=request.param))
    [document] = documents(BODIES[0])
    pack(document)
    was = stored(document)
    report = run("pack-documents")
    assert (report.jobs[0].changed, Document.objects.count()) == (1, 0)
    return document, was, report.run


def test_a_packed_document_comes_back_packed(deleted):
    document, was, number = deleted

    restore(RestoreRequest(run=number), now=NOW)

    assert is_packed(document)
    assert stored(document) == was
    assert Document.objects.get().body == BODIES[0]


def test_a_dictionary_is_not_deleted_while_an_undo_record_may_need_it(deleted):
    mine, newest = PackingDictionary.objects.get(), dictionary()
    with pytest.raises(DictionaryInUse, match=r"undo records of testapp\.Document\.body"):
        mine.delete()

    UndoRecord.objects.all().delete()
    mine.delete()

    assert [each.pk for each in PackingDictionary.objects.all()] == [newest.version]


def test_compression_is_not_taken_back_by_undo():
    with pytest.raises(PolicyError, match="cannot be taken back by it"):
        policy(action=Compress("body"), undo=30 * DAY)
