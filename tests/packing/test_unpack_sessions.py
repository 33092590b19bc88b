"""The command unpack_sessions takes compression back."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from session_cleanup.models import Hold
from tests.packing.conftest import BODIES, documents, is_packed, policy, put, stored
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db
COLUMN = "testapp.Document.body"


@pytest.fixture
def packed(run, declare):
    declare(policy())
    rows = documents(*BODIES[:12], "packed:not really", {"a": 1}, None)
    before = [stored(row) for row in rows]
    run("pack-documents")
    return rows, before


def unpack(*arguments, status=0, **options):
    out = io.StringIO()
    if status:
        with pytest.raises(SystemExit) as ended:
            call_command("unpack_sessions", *arguments, format="json", stdout=out, **options)
        assert ended.value.code == status
    else:
        call_command("unpack_sessions", *arguments, format="json", stdout=out, **options)
    return json.loads(out.getvalue())


def test_every_row_is_stored_as_it_was(packed):
    rows, before = packed
    assert sum(is_packed(row) for row in rows[:12]) == 12

    [job] = unpack(COLUMN)["jobs"]

    assert [stored(row) for row in rows] == before
    assert (job["changed"], job["end_state"], job["action"]) == (12, "drained", "unpack")
    assert [job["changed"] for job in unpack()["jobs"]] == [0, 0]


def test_a_dry_run_counts_and_writes_nothing(packed):
    rows, _ = packed
    forms = [stored(row) for row in rows]

    [job] = unpack(COLUMN, dry_run=True)["jobs"]

    assert (job["due"], job["figures"]["estimated"]) == (12, False)
    assert job["figures"]["bytes_after"] > job["figures"]["bytes_before"]
    assert [stored(row) for row in rows] == forms


def test_it_goes_on_where_it_was_stopped(packed):
    rows, before = packed

    assert unpack(COLUMN, max_rows="5", status=3)["jobs"][0]["changed"] == 5
    assert unpack(COLUMN)["jobs"][0]["changed"] == 7
    assert [stored(row) for row in rows] == before


def test_a_row_that_cannot_be_unpacked_stays_and_is_named(packed, caplog):
    rows, before = packed
    spoilt = stored(rows[3])[:-12] + '"'
    put(rows[3], spoilt)

    [job] = unpack(COLUMN, status=1)["jobs"]

    assert (job["changed"], job["skipped"]["corrupt"]) == (11, 1)
    assert stored(rows[3]) == spoilt
    assert f"column=testapp.Document.body key={rows[3].pk}" in caplog.text
    assert spoilt[20:60] not in caplog.text
    assert [stored(row) for row in rows if row.pk != rows[3].pk] == before[:3] + before[4:]


def test_a_row_under_a_hold_stays_packed(packed):
    rows, _ = packed
    Hold.objects.place(rows[0])

    assert unpack(COLUMN)["jobs"][0]["skipped"]["held"] == 1
    assert is_packed(rows[0])
    assert Document.objects.get(pk=rows[0].pk).body == BODIES[0]


@pytest.mark.parametrize("name", ["testapp.Document", "testapp.Document.made_at", "nothing", "a.b.c"])
def test_what_is_no_packed_column_is_refused(name):
    with pytest.raises(CommandError) as refused:
        call_command("unpack_sessions", name)

    assert refused.value.returncode == 2
    assert "PackedJSONField" in str(refused.value) or COLUMN in str(refused.value)
