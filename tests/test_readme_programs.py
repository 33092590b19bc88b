"""The README's programs, SQL, grants and messages are as it says."""

import re

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from session_cleanup.conf import SETTINGS
from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.exceptions import SessionCleanupError
from session_cleanup.models import (
    CleanupRun,
    Hold,
    JobRun,
    OccurrenceLog,
    Session,
    SessionReport,
    UndoRecord,
    UndoSet,
)
from session_cleanup.policies import Aged, Delete, Policy, registry
from session_cleanup.policies.validation import problems
from tests import readme
from tests.factories import (
    DAY,
    HOUR,
    AfterHoursFactory,
    BrowserFactory,
    DeclineFactory,
    FingerprintFactory,
    MemberFactory,
    OccurrenceFactory,
    PresentationFactory,
    ProfileFactory,
    SeriesFactory,
    SessionFactory,
    UserFactory,
)
from tests.testapp.models import Ticket

EXAMPLE = readme.ROOT / "example_project"
PACKAGE = readme.ROOT / "session_cleanup"


# Programs.


def test_the_policy_is_that_of_the_example_project():
    policies = dict(readme.files(readme.section("Start with your own models")))["shop/cleanup_policies.py"]

    assert policies.strip() == (EXAMPLE / "shop" / "cleanup_policies.py").read_text().strip()


def program(title, marker):
    """Run the block under `title` that holds `marker`, with names that it may use."""
    source = next(body for body in readme.blocks("python", readme.section(title)) if marker in body)

    def run(**names):
        exec(compile(source, "README.md", "exec"), names)
        return names

    return run


def test_the_settings_to_add_are_accepted(settings):
    for path, content in readme.files():
        if path.endswith("settings.py"):
            names = {"INSTALLED_APPS": ["shop"]}
            exec(content, names)
            for name in names.keys() & {f"SESSION_CLEANUP_{name}" for name in SETTINGS}:
                setattr(settings, name, names[name])

    assert settings.SESSION_CLEANUP_SCHEDULES
    assert list(problems()) == []


def test_the_policies_are_sound_and_do_what_they_say(declare, run):
    policies = program("Policies", "policies = [")()["policies"]
    declare(*policies)
    long_ago = timezone.now() - 60 * DAY
    MemberFactory(session__expires_at=long_ago)
    AfterHoursFactory(expires_at=long_ago)
    AfterHoursFactory(ended_at=long_ago, is_active=False, payload={"x": 1})
    FingerprintFactory(session_id=12345)
    for days in range(4):
        BrowserFactory(holder="many", is_active=False, created_at=long_ago - days * DAY)
    BrowserFactory(payload=[])
    for days in range(2):
        BrowserFactory(holder="twice", payload={}, created_at=long_ago - days * DAY)

    assert list(problems()) == []
    jobs = run(*(policy.name for policy in policies), now=timezone.now()).jobs

    assert [(job.end_state, job.changed) for job in jobs] == [("drained", 1)] * len(policies)
    assert jobs[0].related == {"session_cleanup.SessionMember": 1}


@pytest.mark.django_db
def test_sessions_are_made_and_used_as_shown():
    made = program("Start with the shipped models", "give_topic")(user=UserFactory())

    assert (made["deck"].has_topic, made["deck"].has_user_content) == (True, True)
    assert made["board"].expires_at > timezone.now()
    assert made["visit"].payload_valid is True
    assert Session.objects.open().count() == 4


@pytest.mark.django_db
def test_holds_are_placed_as_shown():
    session = SessionFactory()

    program("Policies", "Hold.objects")(session=session)

    assert not Hold.objects.exists()  # the program removes it at its end


def test_the_service_is_used_as_shown(declare, settings, db):
    declare(
        Policy(name="x", model="testapp.Ticket", select=Aged("day"), action=Delete(), group="weekly"),
    )
    settings.SESSION_CLEANUP_PRESETS = ["browser"]
    made = program("Reports", "service.perform")()

    assert made["report"]["metrics"]["sessions"]["total"] == 0
    assert made["status"].last_runs["x"].state == "drained"


# SQL.


def query(marker):
    """Ask the SQL block that holds `marker`; the first row by column."""
    sql = next(body for body in readme.blocks("sql") if marker in body)
    if connection.vendor == "sqlite":
        sql = re.sub(r"now\(\) - interval '(\d+) hours'", r"datetime('now', '-\1 hours')", sql)
        sql = sql.replace("now()", "datetime('now')")
    with connection.cursor() as cursor:
        cursor.execute(sql)
        names = [column[0] for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))


@pytest.fixture
def some_of_all(db):
    """Rows of each kind, some due and some not, away from the edges of the buckets."""
    now = timezone.now()
    for hours, count in ((0.5, 1), (3, 2), (12, 3), (30, 4)):
        PresentationFactory.create_batch(count, created_at=now - hours * HOUR)
    PresentationFactory(created_at=now - 30 * HOUR, has_topic=True)
    PresentationFactory(created_at=now - 30 * HOUR, has_user_content=True)
    for factory, kind in ((SessionFactory, "collaborative"), (AfterHoursFactory, "after_hours")):
        factory(kind=kind)
        factory(kind=kind, expires_at=now + DAY)
        factory.create_batch(3, kind=kind, expires_at=now - DAY)
        factory(kind=kind, expires_at=now - DAY, ended_at=now, is_active=False)
    DeclineFactory(last_declined_at=now - 30 * DAY)
    FingerprintFactory(session_id=12345)
    ProfileFactory(user_id=12345)
    MemberFactory(session__expires_at=now - DAY)


def test_the_ages_of_orphans_are_those_of_stats(some_of_all):
    stats = runner.count(RunRequest(jobs=("presentations",))).stats["presentations"]

    figures = query("-- by age")

    assert figures.pop("total") == stats.orphaned == 10
    assert figures == stats.by_age == {"<1h": 1, "1-6h": 2, "6-24h": 3, ">24h": 4}


@pytest.mark.parametrize("job", ["presentations-blank", "collaborative-expired", "after-hours-close"])
def test_the_conditions_lead_to_what_is_due(some_of_all, job):
    counts = list(query(f"-- {job}\n").values())

    report = runner.run(RunRequest(jobs=(job,), dry_run=True))

    assert counts[-1] == report.jobs[0].due > 0
    assert counts == sorted(counts, reverse=True)


# Privileges.


def grants():
    """(privileges, tables) of each GRANT of the README; our own model stands for the reader's."""
    sql = "\n".join(body for body in readme.blocks("sql") if "GRANT" in body)
    sql = sql.replace("shop_cart", Ticket._meta.db_table)
    found = re.findall(r"GRANT ([\w, ]+?)\s+ON\s+([\w,\s]+?)\s+TO cleanup;", sql)
    return [(split(privileges), split(tables)) for privileges, tables in found]


def split(text):
    return [word.strip() for word in text.split(",")]


def run_as_cleanup(*without):
    """The exit status of a run by the role that has these grants but one; what it did is undone."""
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT before")
    try:
        with connection.cursor() as cursor:
            if without:
                cursor.execute("REVOKE {} ON {} FROM cleanup".format(*without))
            cursor.execute("SET LOCAL ROLE cleanup")
        return runner.run(RunRequest()).exit_status
    except (DatabaseError, SessionCleanupError):
        return 1
    finally:
        transaction.set_rollback(False)
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK TO SAVEPOINT before")


# Rows that go by themselves are locked only where somebody else has locked one of them. Reports are made
# once a month, dictionaries once in a while.
NEEDED_AT_TIMES = {
    ("UPDATE", "session_cleanup_sessiondecline"),
    ("UPDATE", "testapp_ticket"),
    ("UPDATE", "session_cleanup_occurrencelog"),
    ("INSERT", "session_cleanup_sessionreport"),
    ("UPDATE", "session_cleanup_sessionreport"),
    ("INSERT", "session_cleanup_packingdictionary"),
    ("UPDATE", "session_cleanup_undoset"),
    ("UPDATE", "session_cleanup_undorecord"),
}


@pytest.mark.slow
@pytest.mark.postgres
def test_the_grants_suffice_and_none_is_too_much(some_of_all, settings, caplog):
    settings.SESSION_CLEANUP_ENDED_DAYS = 1
    before = registry._registered[:]
    registry.register(Policy(name="tickets", model="testapp.Ticket", select=Aged("day"), action=Delete()))
    old = timezone.now() - 100 * DAY
    Ticket.objects.create(code="a", day=old.date())
    AfterHoursFactory(ended_at=old, is_active=False)
    JobRun.objects.create(run=CleanupRun.objects.create(host="h", pid=1, started_at=old), job="x")
    UndoSet.objects.create(run_id=1, job="x", model="a.B", kind="deleted", columns=[], expires_at=old)
    UndoRecord.objects.create(set_id=1, expires_at=old, data="")
    SeriesFactory(first_date=timezone.now().date() + 2 * DAY).members.add(UserFactory())
    OccurrenceFactory(starts_at=old, ended_at=old, end_reason="expired")
    OccurrenceLog.objects.note("closed", Session.objects.filter(kind="recurring"), old - 1000 * DAY)
    OccurrenceLog.objects.update(over_at=old - 1000 * DAY)
    SessionReport.objects.create(month=old.date(), created_at=old, metrics={}, recommendations=[])
    try:
        with connection.cursor() as cursor:
            cursor.execute("CREATE ROLE cleanup")
            for privileges, tables in grants():
                cursor.execute(f"GRANT {', '.join(privileges)} ON {', '.join(tables)} TO cleanup")

        assert run_as_cleanup() == 0
        for privileges, tables in grants():
            for privilege in privileges:
                for table in tables:
                    if (privilege, table) in NEEDED_AT_TIMES:
                        continue
                    caplog.clear()
                    failed = run_as_cleanup(privilege, table) == 1
                    # A run that cannot remove its claims has done its work; the log says that they stay.
                    assert failed or "claims were left behind" in caplog.text, f"{privilege} ON {table}"
        assert run_as_cleanup() == 0  # so nothing but the grants made the difference
    finally:
        registry._registered[:] = before


# Messages.

OUR_MESSAGES = [
    "does not answer",
    "lacks something that this run needs",
    "is being run by",
    "cleanup is disabled",
    "not all can be seen",
    "cleanup finished run=",
]


@pytest.mark.parametrize("message", OUR_MESSAGES)
def test_the_messages_it_explains_are_those_of_the_code(message):
    assert message in readme.TEXT
    assert any(message in path.read_text() for path in PACKAGE.rglob("*.py"))
