"""The action Compress in a run: what it packs, what it leaves, and what it says beforehand."""

import base64
import json
import threading
from random import Random

import pytest
from django.db import connection, connections
from django.db.models import F

from benchmarks.corpus import TOKENS, payloads
from session_cleanup.engine import foresight, rewriting, runner, training
from session_cleanup.engine.report import RunRequest
from session_cleanup.exceptions import PolicyError
from session_cleanup.models import Hold, JobRun, PackingDictionary, Session
from session_cleanup.packing.packer import Packer
from session_cleanup.policies import Aged, Compress, Delete, Policy, Update
from session_cleanup.policies.validation import problems
from tests.factories import DAY, NOW
from tests.packing.conftest import BODIES, COLUMN, documents, is_packed, policy, put, stored
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db
JOB = "pack-documents"
NOISE = {"noise": base64.b85encode(Random(1).randbytes(500)).decode()}


@pytest.fixture(autouse=True)
def declared(declare):
    declare(policy())


@pytest.mark.parametrize("codec", ["zlib", "zstd"])
def test_a_run_packs_what_is_due_and_says_how_much_it_saved(run, declare, codec):
    declare(policy(action=Compress("body", codec=codec)))
    rows = documents(*BODIES)
    young = Document.objects.create(body=BODIES[0], made_at=NOW)
    before = [stored(row) for row in rows]

    [job] = run(JOB).jobs

    assert (job.end_state, job.changed, dict(job.related)) == ("drained", 30, {})
    assert all(is_packed(row) for row in rows)
    assert not is_packed(young)
    assert [Document.objects.get(pk=row.pk).body for row in rows] == BODIES
    after = [stored(row) for row in rows]
    assert job.figures == {"bytes_before": len("".join(before)), "bytes_after": len("".join(after))}
    assert JobRun.objects.get().figures == job.figures
    assert job.figures["bytes_after"] < 0.6 * job.figures["bytes_before"]
    assert PackingDictionary.objects.get().codec == codec


def test_packing_again_changes_nothing_and_trains_nothing(run, django_assert_max_num_queries):
    documents(*BODIES)
    run(JOB)
    forms = list(Document.objects.values_list("body", flat=True))

    with django_assert_max_num_queries(25):
        [job] = run(JOB).jobs

    assert (job.end_state, job.changed, job.figures) == ("drained", 0, {})
    assert list(Document.objects.values_list("body", flat=True)) == forms
    assert PackingDictionary.objects.count() == 1


def test_what_is_left_alone(run):
    small, text, number, null, opaque, sealed, noise = documents(
        {"a": 1}, "x" * 500, 7, None, {"encrypted": "x" * 500, "by": "us"}, "enc:" + "x" * 500, NOISE
    )
    held, kept = documents(*BODIES[:2])
    Hold.objects.place(held)
    before = {row.pk: stored(row) for row in Document.objects.all()}

    [job] = run(JOB).jobs

    assert (job.changed, dict(job.skipped)) == (1, {"held": 1, "incompressible": 1})
    assert is_packed(kept)
    for row in (small, text, number, null, opaque, sealed, noise, held):
        assert stored(row) == before[row.pk]


def test_only_the_column_is_written(run):
    session = Session.objects.create(kind="browser", payload=BODIES[0], created_at=NOW - 9 * DAY)
    before = Session.objects.filter(pk=session.pk).values().get()

    run_job(run, model="session_cleanup.Session", select=Aged("created_at"), action=Compress())

    assert is_packed(session, column="payload")
    assert Session.objects.filter(pk=session.pk).values().get() == before  # updated_at too


def run_job(run, **changes):
    from session_cleanup.policies import registry

    registry._registered[:] = [policy(**changes)]
    return run(JOB).jobs[0]


def test_a_dry_run_counts_what_the_run_then_does_and_writes_nothing(run, preview):
    rows = documents(*BODIES, NOISE, {"encrypted": "x" * 500}, {"a": 1})
    Hold.objects.place(rows[0])

    [before] = preview(JOB).jobs
    assert not PackingDictionary.objects.exists()
    assert not Document.objects.filter(body__is_packed=True).exists()
    [after] = run(JOB).jobs

    assert (before.due, dict(before.skipped)) == (29, {"held": 1, "incompressible": 1})
    assert (after.changed, dict(after.skipped)) == (before.due, dict(before.skipped))
    assert after.figures == pytest.approx(before.figures, rel=0.01)
    assert (before.estimated, before.inexact) == (False, [])


def test_of_many_rows_a_dry_run_estimates_the_bytes_from_a_sample(run, preview, monkeypatch):
    monkeypatch.setattr(foresight, "FEW", 10)
    documents(*BODIES)

    [before] = preview(JOB).jobs
    [after] = run(JOB).jobs

    assert (before.due, before.estimated, before.inexact) == (30, True, [])
    for name in ("bytes_before", "bytes_after"):
        assert before.figures[name] == pytest.approx(after.figures[name], rel=0.5)


def test_a_sample_in_which_rows_gain_too_little_is_no_exact_count(preview, monkeypatch):
    monkeypatch.setattr(foresight, "FEW", 10)
    documents(*({"noise": base64.b85encode(Random(n).randbytes(300)).decode()} for n in range(20)))

    [job] = preview(JOB).jobs

    assert job.inexact == ["some of its rows gain too little, which only packing all of them tells"]


def test_later_jobs_of_the_run_see_what_was_left_and_not_what_was_packed(run, preview, declare):
    packed, noise = documents(BODIES[0], NOISE)
    later = Policy(
        name="drop-documents", model="testapp.Document", select=Aged("made_at", 7 * DAY), action=Delete()
    )
    declare(policy(), later)

    before = [(job.name, job.due) for job in preview().jobs if job.model == "testapp.Document"]
    after = [(job.name, job.changed) for job in run().jobs if job.model == "testapp.Document"]

    assert before == after == [(JOB, 1), ("drop-documents", 1)]
    assert list(Document.objects.all()) == [packed]
    del noise


def test_batches_of_every_size_and_a_cap(run):
    documents(*BODIES)

    [capped] = run(JOB, max_rows=7, batch_size=3).jobs
    [rest] = run(JOB, batch_size=4).jobs

    assert (capped.end_state, capped.changed, capped.batches) == ("capped", 7, 3)
    assert (rest.end_state, rest.changed) == ("drained", 23)
    assert PackingDictionary.objects.count() == 1


def test_a_batch_takes_only_what_fits_into_memory(run, monkeypatch):
    documents(*BODIES)
    monkeypatch.setattr(rewriting, "PORTION", 3000)

    [job] = run(JOB).jobs

    assert (job.end_state, job.changed) == ("drained", 30)
    assert job.batches > 10


def test_along_the_heap_it_goes_by_keys(run, settings):
    settings.SESSION_CLEANUP_WALK = "heap"
    documents(*BODIES)

    [job] = run(JOB).jobs

    assert (job.end_state, job.changed, job.walk) == ("drained", 30, "heap")


def change_after_reading(monkeypatch, change):
    """`change()` is called once, when a batch has read and packed its rows and not yet locked them."""
    real, done = rewriting.Rewriting.take, []

    def take(self, keys):
        taken = real(self, keys)
        if not done:
            done.append(True)
            change()
        return taken

    monkeypatch.setattr(rewriting.Rewriting, "take", take)


def test_a_row_that_changes_between_packing_and_writing_is_packed_as_it_is_then(run, monkeypatch):
    rows = documents(*BODIES[:5])
    change_after_reading(monkeypatch, lambda: Document.objects.filter(pk=rows[2].pk).update(body=BODIES[9]))

    [job] = run(JOB).jobs

    assert (job.end_state, job.changed) == ("drained", 5)
    assert Document.objects.get(pk=rows[2].pk).body == BODIES[9]
    assert is_packed(rows[2])


def test_a_row_that_stops_being_due_meanwhile_is_kept(run, monkeypatch):
    long = sorted(BODIES, key=lambda body: -len(json.dumps(body)))
    gone, young, opaque, other = rows = documents(*long[:4])

    def change():
        gone.delete()
        Document.objects.filter(pk=young.pk).update(made_at=NOW)
        Document.objects.filter(pk=opaque.pk).update(body={"encrypted": "x" * 900})

    keys = [row.pk for row in rows]
    change_after_reading(monkeypatch, change)
    [job] = run(JOB).jobs

    assert (job.end_state, job.changed, dict(job.skipped)) == ("drained", 1, {})
    assert not is_packed(young)
    assert Document.objects.get(pk=opaque.pk).body == {"encrypted": "x" * 900}
    assert Document.objects.filter(pk__in=keys).count() == 3
    assert is_packed(other)


def test_what_does_not_unpack_to_what_it_was_is_never_written(run, monkeypatch):
    [row] = documents(BODIES[0])
    monkeypatch.setattr("session_cleanup.packing.codecs.Zlib.compress", lambda self, document: b"\x03\x00")

    [job] = run(JOB).jobs

    assert job.end_state == "failed"
    assert job.error == "CorruptPacking: its checksum does not fit."
    assert not is_packed(row)


def test_the_newest_dictionary_is_used_until_documents_pack_clearly_worse(run, monkeypatch):
    documents(*BODIES)
    run(JOB)
    [first] = PackingDictionary.objects.all()
    documents(*payloads(25, 2, seed=3))
    run(JOB)
    assert PackingDictionary.objects.count() == 1

    random = Random(1)
    words = [random.randbytes(12).hex() for _ in range(30)]
    documents(*({"words": random.sample(words, 15)} for _ in range(40)))
    [job] = run(JOB).jobs

    newest = PackingDictionary.objects.newest(COLUMN, "zlib")
    assert newest.version > first.version
    assert newest.ratio < 0.5
    assert job.changed == 40
    assert len([body for body in Document.objects.values_list("body", flat=True) if body]) == 95


def test_a_new_dictionary_that_is_no_better_is_not_kept(run):
    documents(*BODIES)
    run(JOB)
    PackingDictionary.objects.update(ratio=0.01)
    documents(*payloads(25, 2, seed=3))
    run(JOB)

    assert PackingDictionary.objects.count() == 1


@pytest.mark.parametrize("arguments", [{"codec": "lzma"}, {"column": 7}])
def test_a_bad_action_cannot_be_built(arguments):
    with pytest.raises(PolicyError):
        Compress(**arguments)


def test_a_column_that_would_not_be_unpacked_is_refused(declare):
    declare(
        policy(model="session_cleanup.Session", select=Aged("created_at"), action=Compress(column="settings"))
    )
    [problem] = [each for each in problems() if each.id.startswith("E")]

    assert problem.id == "E010"
    assert "Session.settings is a JSONField, which cannot read packed documents" in str(problem)


@pytest.mark.django_db(transaction=True)
def test_killed_in_the_middle_of_a_batch_nothing_of_it_is_left(run, monkeypatch):
    rows = documents(*BODIES)
    real, batches = rewriting.Rewriting.write, []

    def write(self, keys):
        written = real(self, keys)
        batches.append(keys)
        if len(batches) == 3:
            raise KeyboardInterrupt
        return written

    monkeypatch.setattr(rewriting.Rewriting, "write", write)
    with pytest.raises(KeyboardInterrupt):
        run(JOB, batch_size=7)
    assert Document.objects.filter(body__is_packed=True).count() == JobRun.objects.get().changed == 14

    monkeypatch.setattr(rewriting.Rewriting, "write", real)
    [job] = run(JOB).jobs
    assert (job.end_state, job.changed) == ("drained", 16)
    assert [Document.objects.get(pk=row.pk).body for row in rows] == BODIES


@pytest.mark.django_db(transaction=True)
def test_two_processes_at_once(declare):
    """Another job packs the same column: each row is packed once, and says what it said."""
    rows = documents(*payloads(200, 2))
    declare(policy(), policy(name="pack-again"))
    reports = []

    def work(name):
        try:
            reports.append(runner.run(RunRequest(jobs=(name,), batch_size=5), now=NOW).jobs[0])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=[name]) for name in (JOB, "pack-again")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [report.error for report in reports] == [None, None]
    assert sum(report.changed for report in reports) == 200
    assert [Document.objects.get(pk=row.pk).body for row in rows] == list(payloads(200, 2))


def test_nothing_of_a_payload_is_said_anywhere(run, preview, caplog, monkeypatch):
    caplog.set_level(0, "session_cleanup")
    secret = "s3cr3t-t0ken-that-n0body-may-see"
    documents({**BODIES[0], "token": secret}, {**BODIES[1], "token": secret})
    said = [repr(preview(JOB)), repr(run(JOB)), repr(Packer(1, "zlib", secret.encode(), ""))]
    said += [repr(each) for each in JobRun.objects.values_list()]
    said += [repr(each) for each in PackingDictionary.objects.defer("content").values_list("column", "codec")]

    assert secret not in "".join(said) + caplog.text


@pytest.mark.parametrize("codec", ["zlib", "zstd"])
def test_a_dictionary_holds_no_random_token_of_a_single_document(run, declare, codec):
    """A dictionary outlives the documents it was made of."""
    declare(policy(action=Compress("body", codec=codec)))
    documents(*BODIES)
    run(JOB)
    content = bytes(PackingDictionary.objects.get().content)

    tokens = [each["value"] for body in BODIES for each in body["cookies"] if each["name"] in TOKENS]
    parts = [token[at : at + 9].encode() for token in tokens for at in range(0, 12, 4)]
    assert len(tokens) == 30
    assert not [part for part in parts if part in content]


def test_an_index_serves_the_condition(declare):
    """browser-compress finds nothing due without reading the rows that are packed already."""
    rows = Session.objects.filter(kind="browser", payload__is_packable=True, created_at__lt=NOW)
    if connection.vendor == "sqlite":
        plan = rows.order_by("created_at", "id").explain()
    else:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        plan = rows.order_by("created_at", "id").explain()

    assert "idx_sessions_packable" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_the_size_of_a_document_is_what_it_takes_in_the_database():
    [row] = documents(BODIES[0])
    found = Document.objects.filter(pk=row.pk).values_list("body__stored_size", flat=True).get()

    assert 100 < found <= len(stored(row)) + 50


def test_what_an_update_sets_is_told_apart(declare):
    assert Compress("body").condition()
    assert not Update({"made_at": None}).condition()
    assert training.label(policy()) == COLUMN
    assert repr(Compress("body", "zstd")) != repr(Compress("body"))
    assert Compress("body") == Compress("body")
    assert Compress("body").values == {"body": F("body")}
    put(Document.objects.create(body=1), json.dumps({"a": 2}))
