"""restore_sessions: what it prints, and its exit statuses."""

import json

import pytest
from django.core.management import CommandError
from django.utils import timezone

from session_cleanup.engine.putting_back import Target
from session_cleanup.models import Session, UndoSet
from tests.commands.calling import call
from tests.factories import DAY, PresentationFactory

pytestmark = pytest.mark.django_db
JOB = "presentations-blank"


def restore(*arguments):
    return call(*arguments, command="restore_sessions")


@pytest.fixture
def run():
    """The number of a run that has deleted two presentations."""
    PresentationFactory.create_batch(2, created_at=timezone.now() - 3 * DAY, payload={"a": "marker-4711"})
    _, shown = call(JOB, "--format", "json")
    report = json.loads(shown)
    assert report["jobs"][0]["changed"] == 2
    assert report["jobs"][0]["undo_until"] > (timezone.now() + 29 * DAY).isoformat()
    return str(report["run"])


def test_text(run):
    status, shown = restore(run)

    assert status == 0
    assert f"Restore of run {run} - " in shown
    assert f"Job: {JOB}\n  Rows restored, session_cleanup.Session: 2\n" in shown
    assert "session_cleanup.Session.payload is empty in restored rows" in shown
    assert "No run touches the restored rows until" in shown
    assert shown.endswith("Restore completed successfully\n" + "=" * 60 + "\n")
    assert Session.objects.count() == 2


def test_json(run):
    _, shown = restore(run, "--format", "json")

    report = json.loads(shown)
    assert (report["status"], report["exit_status"], report["restored_run"]) == ("ok", 0, int(run))
    assert report["jobs"][0]["restored"] == {"session_cleanup.Session": 2}
    assert report["jobs"][0]["emptied"] == [
        "session_cleanup.Session.payload",
        "session_cleanup.Session.payload_digest",
    ]


def test_what_is_left_alone_is_named(run):
    taken, _ = restored_keys(run)
    PresentationFactory(pk=taken)

    status, shown = restore(run)

    assert status == 3
    assert f"    session_cleanup.Session {taken}: a row with its key exists\n" in shown
    assert "Restore completed; some rows were left alone" in shown


def restored_keys(run):
    """The keys in the records of a run."""
    target = Target(
        UndoSet.objects.get(run_id=run, model="session_cleanup.Session", kind="deleted"), "default"
    )
    rows, _ = target.read(target.records.order_by("pk"))
    return [row.key for row in rows]


def test_a_dry_run(run):
    status, shown = restore(run, "--dry-run")

    assert status == 0
    assert "(dry run)" in shown
    assert "Rows that would come back, session_cleanup.Session: 2" in shown
    assert "Dry run: nothing was changed" in shown
    assert not Session.objects.exists()


def test_one_row(run):
    first, second = restored_keys(run)

    assert restore(run, "--job", JOB, "--pk", second)[0] == 0
    assert set(Session.objects.values_list("pk", flat=True)) == {int(second)}
    assert restore(run, "--pk", first)[0] == 0
    assert Session.objects.count() == 2


def test_the_runs_that_can_be_taken_back(run):
    _, shown = restore()
    assert f"Run {run}  {JOB}  session_cleanup.Session  in default  until " in shown
    assert json.loads(restore("--format", "json")[1])[0]["run"] == int(run)
    restore(run)
    assert restore() == (0, "Nothing can be taken back.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-number"], "RUN is 'no-number'. Give the number of a run, such as 17."),
        (["999999"], "There is no run 999999."),
        (["--dry-run"], "--dry-run needs RUN"),
    ],
)
def test_refusals(arguments, said):
    with pytest.raises(CommandError, match=said) as refused:
        restore(*arguments)
    assert refused.value.returncode == 2
