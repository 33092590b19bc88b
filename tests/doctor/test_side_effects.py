"""Triggers, signal receivers and conditions into JSON are said, each where it matters."""

import pytest
from django.db import connection
from django.db.models import Q
from django.db.models.signals import post_delete, pre_delete

from session_cleanup.doctor.findings import Severity
from session_cleanup.policies import Aged, Delete, Policy
from tests.doctor.finding import slugs, the
from tests.doctor.policies import BOOKS, DETACH
from tests.testapp.models import Chapter

FUNCTION = "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'"


@pytest.fixture
def trigger(sql):
    """trigger("DELETE", "table"): a trigger that does nothing."""

    def trigger(event, table):
        if connection.vendor == "postgresql":
            sql(
                FUNCTION,
                f"CREATE TRIGGER watch AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION nothing()",
            )
        else:
            sql(f"CREATE TRIGGER watch AFTER {event} ON {table} BEGIN SELECT 1; END")

    return trigger


def watch(sender, **kwargs):
    """A receiver of the tests."""


@pytest.fixture(params=[pre_delete, post_delete])
def receiver(request):
    request.param.connect(watch, sender=Chapter)
    yield
    request.param.disconnect(watch, sender=Chapter)


@pytest.mark.parametrize("table", ["testapp_book", "testapp_footnote"])
def test_a_trigger_on_what_goes(trigger, diagnose, table):
    trigger("DELETE", table)

    diagnosis = diagnose(BOOKS)

    finding = the("trigger", diagnosis)
    assert (finding.subject, finding.severity) == (table, Severity.ADVICE)
    assert "watch" in finding.what
    assert the("preview-inexact", diagnosis).what == (
        f"Its preview may differ from its run: the table {table} has a trigger."
    )
    assert diagnosis.exit_status == 0


@pytest.mark.parametrize(("policy", "table"), [(BOOKS, "testapp_bookmark"), (DETACH, "testapp_chapter")])
def test_a_trigger_on_what_is_changed(trigger, diagnose, policy, table):
    trigger("UPDATE", table)

    assert the("trigger", diagnose(policy)).subject == table


@pytest.mark.parametrize(
    ("event", "table"),
    [("INSERT", "testapp_book"), ("UPDATE", "testapp_chapter"), ("DELETE", "testapp_bookmark")],
)
def test_a_trigger_on_something_else(trigger, diagnose, event, table):
    trigger(event, table)

    assert "trigger" not in slugs(diagnose(BOOKS))


def test_a_receiver_on_what_goes(db, receiver, diagnose):
    diagnosis = diagnose(BOOKS)

    finding = the("receiver", diagnosis)
    assert finding.subject == "testapp.Chapter"
    assert f"{__name__}.watch" in finding.what
    assert "signal receivers run when a testapp.Chapter" in the("preview-inexact", diagnosis).what
    assert "receiver" not in slugs(diagnose(DETACH))


def ended(**where):
    return Policy(
        name="x",
        model="session_cleanup.Session",
        where=Q(kind="browser", **where),
        select=Aged("expires_at"),
        action=Delete(),
    )


@pytest.mark.parametrize("path", ["payload__device", "payload__device__name__icontains", "payload__has_key"])
def test_a_condition_that_looks_into_json(db, diagnose, path):
    finding = the("json-path", diagnose(ended(**{path: "x"})))

    assert (finding.subject, finding.severity) == ("x", Severity.ADVICE)
    assert repr(path) in finding.what


def test_a_condition_that_looks_into_the_json_of_another_model(db, diagnose):
    policy = Policy(
        name="x",
        model="session_cleanup.SessionMember",
        where=Q(session__payload__device="x"),
        select=Aged("joined_at"),
        action=Delete(),
    )

    assert "json-path" in slugs(diagnose(policy))


@pytest.mark.parametrize("where", [{"payload__isnull": True}, {"payload": {}}, {"title": "payload__x"}])
def test_a_condition_on_the_whole_column(db, diagnose, where):
    assert "json-path" not in slugs(diagnose(ended(**where)))
