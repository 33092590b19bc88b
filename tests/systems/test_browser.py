"""System 4: browser sessions of leads. The lessons of the original about deleting stand here by name."""

import logging
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.models import JSONField, Value

from session_cleanup.engine.restore_report import RestoreRequest
from session_cleanup.engine.restores import restore
from session_cleanup.models import Hold, PackingDictionary, Session, SessionReport
from session_cleanup.models.payloads import Print
from session_cleanup.policies import registry
from session_cleanup.scheduling.schedules import schedule_of
from tests.factories import DAY, HOUR, NOW, SECOND, BrowserFactory, MemberFactory, SessionFactory
from tests.testapp.models import Author, Book

JOBS = [
    *("browser-expired", "browser-orphaned", "browser-excess", "browser-invalid"),
    *("browser-compress", "browser-duplicates", "browser-report"),
]
SECRET = "tok-4d1f-secret-cookie"
LONG_AGO = NOW - 300 * DAY


@pytest.fixture(autouse=True)
def _preset(settings):
    settings.SESSION_CLEANUP_PRESETS = ["browser"]


def left():
    return set(Session.objects.all())


def of_one_holder(count, **values):
    """Inactive unless it is said; the newest first."""
    values = {"holder": "7", "is_active": False, **values}
    return [BrowserFactory(created_at=NOW - number * HOUR, **values) for number in range(count)]


def written_past_the_model(session, **values):
    """As by another program: nothing is told, nothing is noted."""
    Session._base_manager.filter(pk=session.pk).update(updated_at=NOW - DAY, **values)


def test_the_jobs_their_order_groups_and_hours():
    jobs = [job for job in registry.jobs() if job.preset == "browser"]

    assert [job.name for job in jobs] == JOBS
    assert [job.group for job in jobs] == [*4 * ["daily"], *2 * ["weekly"], "monthly"]
    assert [schedule_of(job) for job in jobs] == [*4 * ["0 2 * * *"], *2 * ["0 3 * * 0"], "0 4 1 * *"]
    actions = [job.action.name for job in registry.policies_among(jobs)]
    assert actions == [*4 * ["delete"], "compress", "delete"]


# Expired


def test_expired_by_its_creation_just_past_the_cutoff_and_not_at_it(run):
    cutoff = NOW - 30 * DAY
    BrowserFactory(created_at=cutoff - SECOND, last_activity_at=NOW)
    kept = {BrowserFactory(created_at=cutoff), BrowserFactory(created_at=NOW, last_activity_at=LONG_AGO)}

    assert run("browser-expired").jobs[0].changed == 1
    assert left() == kept


def test_expiry_days_is_a_setting(run, settings):
    settings.SESSION_CLEANUP_EXPIRY_DAYS = 1
    BrowserFactory(created_at=NOW - 2 * DAY)

    assert run("browser-expired").jobs[0].changed == 1


def test_days_changed_only_the_preview(run, preview):
    """--days means the same to both."""
    BrowserFactory(created_at=NOW - 3 * DAY)
    kept = BrowserFactory(created_at=NOW - 1 * DAY)

    assert preview("browser-expired", days=2).jobs[0].due == 1
    assert run("browser-expired", days=2).jobs[0].changed == 1
    assert left() == {kept}


# Orphaned


def test_without_a_holder(run):
    BrowserFactory(holder=None, created_at=NOW - SECOND)
    kept = BrowserFactory(holder="nobody knows")

    assert run("browser-orphaned").jobs[0].changed == 1
    assert left() == {kept}


def test_a_holder_that_is_gone(run, settings):
    settings.SESSION_CLEANUP_HOLDER_MODEL = "testapp.Author"
    author = Author.objects.create()
    kept = {BrowserFactory(holder=str(author.pk)), BrowserFactory(holder=f"00{author.pk}")}
    for holder in (None, "", "x", str(author.pk + 1), f"{author.pk}x", "9" * 30):
        BrowserFactory(holder=holder)

    assert run("browser-orphaned", batch_size=2).jobs[0].changed == 6
    assert left() == kept


def test_a_holder_by_a_field_of_its_own(run, settings):
    settings.SESSION_CLEANUP_HOLDER_MODEL = "testapp.Book.title"
    Book.objects.create(title="L-1")
    kept = BrowserFactory(holder="L-1")
    BrowserFactory(holder="L-2")

    assert run("browser-orphaned").jobs[0].changed == 1
    assert left() == {kept}


def test_a_holder_whose_key_is_a_uuid(run, settings):
    settings.SESSION_CLEANUP_HOLDER_MODEL = "testapp.Book"
    book = Book.objects.create()
    kept = {BrowserFactory(holder=spelled) for spelled in (str(book.pk), book.pk.hex, str(book.pk).upper())}
    BrowserFactory(holder="0" * 32)
    BrowserFactory(holder="-" * 32)

    assert run("browser-orphaned").jobs[0].changed == 2
    assert left() == kept


@pytest.mark.parametrize("value", ["", "Lead", "crm.Lead.a.b", "crm.", 3, ["crm.Lead"]])
def test_a_holder_model_that_is_none_is_refused(settings, value):
    settings.SESSION_CLEANUP_HOLDER_MODEL = value

    from session_cleanup.conf import conf
    from session_cleanup.exceptions import ConfigurationError

    with pytest.raises(ConfigurationError, match=r'must be "app\.Model"'):
        assert conf.HOLDER_MODEL


# Excess


def test_the_oldest_beyond_the_limit_go(run, settings):
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 3
    rows = of_one_holder(5)
    others = of_one_holder(3, holder="8")

    assert run("browser-excess", batch_size=1).jobs[0].changed == 2
    assert left() == {*rows[:3], *others}


def test_ten_are_kept_unless_it_is_said(run):
    rows = of_one_holder(11)

    run("browser-excess")

    assert left() == set(rows[:10])


def test_holders_of_two_types_are_two_holders(run, settings):
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 1
    rows = [*of_one_holder(1), *of_one_holder(1, holder_type="contact")]

    assert run("browser-excess").jobs[0].changed == 0
    assert left() == set(rows)


def test_the_limit_could_evict_the_active_session(run, settings):
    """The holder's newest active session stays, however many are newer; the other active ones may go."""
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 2
    rows = of_one_holder(6)
    Session.objects.filter(pk__in=[rows[3].pk, rows[4].pk]).update(is_active=True)

    run("browser-excess", batch_size=1)

    assert left() == {rows[0], rows[1], rows[3]}


def test_a_held_session_stays_and_takes_its_place(run, settings):
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 1
    rows = of_one_holder(3)
    Hold.objects.place(rows[1])

    job = run("browser-excess").jobs[0]

    assert (job.changed, dict(job.skipped)) == (1, {"held": 1})
    assert left() == {rows[0], rows[1]}


# Invalid


@pytest.mark.parametrize("payload", [[], "text", {"cookies": "a=b"}, {"viewport": {"width": "wide"}}])
def test_an_invalid_payload_goes(run, preview, payload):
    kept = BrowserFactory()
    BrowserFactory(payload=payload)

    assert preview("browser-invalid").jobs[0].due == 1
    assert run("browser-invalid").jobs[0].changed == 1
    assert left() == {kept}


def test_what_nobody_has_judged_is_judged_and_the_verdict_kept(run):
    kept, bad = BrowserFactory(), BrowserFactory()
    written_past_the_model(kept, payload={}, payload_checked_at=None, payload_valid=None, payload_digest=None)
    written_past_the_model(bad, payload=[], payload_checked_at=None, payload_valid=None)

    assert run("browser-invalid").jobs[0].changed == 1

    kept.refresh_from_db()
    assert (kept.payload_valid, kept.payload_checked_at) == (True, NOW)
    assert (kept.payload_digest, kept.payload_size) == (Print.of({}).digest, 2)
    assert left() == {kept}


def test_a_verdict_older_than_the_last_change_does_not_count(run):
    session = BrowserFactory()
    written_past_the_model(session, payload=[], payload_checked_at=NOW - DAY - SECOND, payload_valid=True)

    assert run("browser-invalid").jobs[0].changed == 1


def test_a_verdict_that_was_wrong_is_put_right(run, preview):
    session = BrowserFactory()
    written_past_the_model(session, payload_checked_at=NOW - HOUR, payload_valid=False)

    assert preview("browser-invalid").jobs[0].due == 0
    assert run("browser-invalid").jobs[0].changed == 0
    session.refresh_from_db()
    assert session.payload_valid is True


def test_a_held_one_that_is_invalid_is_said_to_be(run):
    session = BrowserFactory(payload=[])
    written_past_the_model(session, payload_checked_at=None, payload_valid=None)
    Hold.objects.place(session)

    assert dict(run("browser-invalid").jobs[0].skipped) == {"held": 1}
    session.refresh_from_db()
    assert session.payload_valid is False


def test_a_dry_run_writes_no_verdict(preview):
    session = BrowserFactory()
    written_past_the_model(session, payload=[], payload_checked_at=None, payload_valid=None)

    assert preview("browser-invalid").jobs[0].due == 1
    session.refresh_from_db()
    assert (session.payload_valid, session.payload_checked_at) == (None, None)


@pytest.mark.parametrize("payload", [{"encrypted": SECRET}, f"enc:{SECRET}"])
def test_encrypted_payloads_crashed_it(run, preview, payload):
    """They are opaque: nobody can say that they are invalid."""
    known, unknown = BrowserFactory(payload=payload), BrowserFactory(payload=payload)
    written_past_the_model(unknown, payload_checked_at=None, payload_valid=None)

    assert preview("browser-invalid").jobs[0].due == 0
    assert run("browser-invalid").jobs[0].end_state == "drained"
    assert left() == {known, unknown}


def test_no_payload_at_all_is_not_invalid(run):
    session = BrowserFactory(payload=None)

    assert run("browser-invalid").jobs[0].changed == 0
    assert left() == {session}


@pytest.fixture
def compressed(run):
    """compressed(payload, …): a session whose payload has been compressed, and of which nothing is known."""

    def compressed(payload, **values):
        session = BrowserFactory(payload=payload, created_at=NOW - 9 * DAY, **values)
        assert run("browser-compress").jobs[0].changed == 1
        unknown = dict.fromkeys(("payload_valid", "payload_digest", "payload_checked_at"))
        written_past_the_model(session, **unknown)
        return session

    return compressed


def test_a_compressed_payload_is_unpacked_first(run, preview, compressed):
    payload = {"cookies": [{"name": "sid", "value": SECRET * 50}]}
    kept, bad = compressed(payload), compressed([SECRET * 50])

    assert preview("browser-invalid").jobs[0].due == 1
    assert run("browser-invalid").jobs[0].changed == 1
    assert left() == {kept}
    kept.refresh_from_db()
    assert (kept.payload_valid, kept.payload_digest) == (True, Print.of(payload).digest)
    assert not Session.objects.filter(pk=bad.pk).exists()


def test_a_compressed_payload_that_cannot_be_read_is_a_failure_and_not_invalid(run, compressed):
    session = compressed({"cookies": [{"name": "sid", "value": SECRET * 50}]})
    damaged = Value(f"packed:1:{SECRET}", JSONField())
    Session._base_manager.filter(pk=session.pk).update(payload=damaged)

    job = run("browser-invalid").jobs[0]

    assert (job.end_state, job.changed) == ("failed", 0)
    assert f"pk {session.pk} (CorruptPacking)" in job.error
    assert SECRET not in job.error


@pytest.fixture
def unreadable(db, monkeypatch):
    """unreadable(session): its payload cannot be decoded from now on."""
    field = Session._meta.get_field("payload")
    original = field.from_db_value

    def from_db_value(value, expression, connection):
        if value and SECRET in value:
            raise ValueError(f"cannot unpack {value}")
        return original(value, expression, connection)

    monkeypatch.setattr(field, "from_db_value", from_db_value)
    session = BrowserFactory(payload={"metadata": {"token": SECRET}})
    written_past_the_model(session, payload_checked_at=None)
    return session


def test_a_codec_error_is_a_failure_and_the_rest_is_done(run, preview, unreadable, caplog):
    caplog.set_level(logging.DEBUG)
    BrowserFactory(payload=[])

    foreseen = preview("browser-invalid").jobs[0]
    job = run("browser-invalid", batch_size=1).jobs[0]

    assert (job.end_state, job.changed) == ("failed", 1)
    assert foreseen.end_state == "failed"
    for each in (foreseen, job):
        assert (
            f"could not be judged in 1 rows, which were left alone: pk {unreadable.pk} (ValueError)"
            in each.error
        )
    assert set(Session.objects.values_list("pk", flat=True)) == {unreadable.pk}
    assert SECRET not in caplog.text + job.error + foreseen.error


def test_statistics_do_not_know_what_cannot_be_read(run, unreadable):
    stats = run("browser-invalid", dry_run=True, stats=True).stats["browser"]

    assert (stats.total, stats.due) == (1, None)


@pytest.mark.parametrize("number", [1, 450])
def test_any_number_is_judged_in_chunks(run, preview, number):
    for session in BrowserFactory.build_batch(number, payload=[]):
        session.save()
    Session._base_manager.update(payload_checked_at=None, payload_valid=None)

    assert preview("browser-invalid").jobs[0].due == number
    assert run("browser-invalid").jobs[0].changed == number


# Duplicates


def duplicates(report):
    return next(job for job in report.jobs if job.name == "browser-duplicates")


def repeated(count=3, **values):
    rows = of_one_holder(count, payload={"metadata": {"a": 1}}, **values)
    Session._base_manager.update(payload_checked_at=NOW - HOUR, updated_at=NOW - DAY)
    return rows


def test_the_newest_of_a_holders_copies_is_kept(run, preview):
    rows, other = repeated(), repeated(1, holder="8")

    assert preview("browser-duplicates").jobs[0].due == 2
    assert run("browser-duplicates", batch_size=1).jobs[0].changed == 2
    assert left() == {rows[0], *other}


def test_copies_are_dropped_with_the_weekly_jobs_only(run):
    repeated()

    assert "browser-duplicates" not in [job.name for job in run().jobs]
    assert {job.name: job.changed for job in run(group="weekly").jobs}["browser-duplicates"] == 2


def test_a_copy_that_has_changed_since_its_digest_was_made_is_none(run):
    rows = repeated()
    written_past_the_model(rows[1], payload={"metadata": {"b": 2}}, payload_checked_at=NOW - 2 * DAY)
    Session.objects.filter(pk=rows[2].pk).update(payload={})

    assert run("browser-duplicates").jobs[0].changed == 0


def test_a_compressed_copy_is_one_too(run, compressed):
    payload = {"cookies": [{"name": "sid", "value": SECRET * 50}]}
    compressed(payload, holder="7")
    newest = BrowserFactory(holder="7", payload=payload)
    written_past_the_model(newest, payload_checked_at=None, payload_digest=None)

    run("browser-invalid")

    assert run("browser-duplicates", now=NOW + DAY).jobs[0].changed == 1
    assert left() == {newest}


def test_a_copy_that_came_back_without_its_payload_is_none_any_more(run, settings):
    settings.SESSION_CLEANUP_RESTORE_HOLD_DAYS = 0
    rows = repeated()
    report = run("browser-duplicates")
    assert report.jobs[0].changed == 2

    restore(RestoreRequest(run=report.run), now=NOW)

    assert left() == set(rows)
    assert Session.objects.filter(payload__isnull=True, payload_digest=None).count() == 2
    assert run("browser-duplicates", now=NOW + DAY).jobs[0].changed == 0


def test_digests_found_by_one_job_count_in_the_next_run(run, preview):
    """What one job finds out is not yet known to the later jobs of the same run, nor to a preview."""
    repeated()
    Session._base_manager.update(payload_digest=None, payload_checked_at=None)

    assert duplicates(preview("browser")).due == 0
    assert duplicates(run("browser")).changed == 0
    assert duplicates(run("browser", now=NOW + DAY)).changed == 2


def test_a_verdict_that_is_put_right_leaves_the_digest_counted(run, preview):
    """What was said to be invalid is looked into first, and still is the newest copy."""
    rows = repeated()
    Session._base_manager.filter(pk=rows[0].pk).update(payload_valid=False)

    assert duplicates(preview("browser")).due == 2
    assert duplicates(run("browser")).changed == 2
    assert Session.objects.get().payload_valid is True


# All of them


def test_previews_of_the_shipped_jobs_are_exact(preview):
    assert all(not job.inexact for job in preview("browser").jobs)


def test_a_row_that_two_jobs_claim_counts_once_and_gives_up_its_place(run, preview, settings):
    """Expired rows do not take the place of others, and are not deleted twice."""
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 2
    rows = of_one_holder(4, payload=[])
    Session._base_manager.filter(pk=rows[3].pk).update(created_at=LONG_AGO)
    MemberFactory(session=rows[3])

    foreseen = [job.due for job in preview("browser").jobs]

    assert foreseen == [1, 0, 1, 2, 0, 0, 1]  # the last of them makes a report
    assert [job.changed for job in run("browser").jobs] == foreseen
    assert not left()


def test_an_empty_database_is_no_trouble(run, preview):
    *policies, report = preview("browser").jobs
    assert ({job.due for job in policies}, report.due) == ({0}, 1)
    assert {job.end_state for job in run("browser").jobs} == {"drained"}


def test_cookies_and_tokens_are_in_no_output_and_no_log(run, caplog, capsys, settings):
    caplog.set_level(logging.DEBUG)
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 1
    payload = {"cookies": [{"name": "sid", "value": SECRET}]}
    of_one_holder(3, payload=payload)
    BrowserFactory(payload=[SECRET])

    report = run("browser", stats=True, list_rows=50)

    assert sum(job.changed for job in report.jobs if job.action == "delete") == 3
    shown = capsys.readouterr()
    assert SECRET not in f"{report!r}{caplog.text}{shown.out}{shown.err}"


def test_other_kinds_with_holders_are_left_alone(run, settings):
    settings.SESSION_CLEANUP_MAX_PER_HOLDER = 1
    rows = {SessionFactory(holder="7", created_at=LONG_AGO, payload=[]) for _ in range(3)}

    run("browser")

    assert left() == rows


@pytest.mark.postgres
def test_a_json_null_is_no_object(run):
    session = BrowserFactory()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE session_cleanup_session SET payload = 'null', payload_checked_at = NULL")

    assert run("browser-invalid").jobs[0].changed == 1
    assert session not in left()


# What the original did with compression, settings and reports


def old_documents(count=20):
    """Sessions to compress: cookies of every name, and tokens of more than 100 characters."""
    made = {"is_active": False, "created_at": NOW - 9 * DAY, "last_activity_at": NOW - 9 * DAY}
    for number in range(count):
        cookies = [{"name": f"unheard-of-{n}", "value": f"{n}" * 90, "path": "/", "odd": n} for n in range(9)]
        storage = {"token": f"{number:04}" * 60, "ünï": "cødé \\u0000", "n": 1.5e300}
        BrowserFactory(payload={"cookies": cookies, "localStorage": storage}, **made)


def test_a_weekly_dry_run_really_compressed(preview):
    """It says what would be saved, and writes nothing."""
    old_documents()
    before = rows_as_text()

    job = preview("browser-compress").jobs[0]

    assert (job.due, job.changed) == (20, 0)
    assert rows_as_text() == before
    assert not PackingDictionary.objects.exists()


def test_compression_threw_away_cookies_it_did_not_know_and_cut_tokens_at_100_characters(run):
    """Every byte comes back."""
    old_documents()
    payloads = {session.pk: session.payload for session in Session.objects.all()}
    before = rows_as_text()

    assert run("browser-compress").jobs[0].changed == 20

    assert rows_as_text() != before
    assert {session.pk: session.payload for session in Session.objects.all()} == payloads


def test_compression_was_not_idempotent(run):
    """Neither the second run nor another dictionary packs again what is packed."""
    old_documents()
    run("browser-compress")
    packed = rows_as_text()

    assert run("browser-compress", now=NOW + 8 * DAY).jobs[0].changed == 0
    assert rows_as_text() == packed


def rows_as_text():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, CAST(payload AS text), updated_at FROM session_cleanup_session ORDER BY id"
        )
        return cursor.fetchall()


def test_performance_figures_were_hard_coded(run):
    """Each is measured: other sessions, other figures."""
    BrowserFactory.create_batch(2, payload={"cookies": [], "metadata": {"a": "x" * 100}})
    few = run("browser-report").jobs[0].product["metrics"]["performance"]
    SessionReport.objects.all().delete()
    BrowserFactory.create_batch(3, payload={"cookies": [], "metadata": {"a": "x" * 900}})
    more = run("browser-report").jobs[0].product["metrics"]["performance"]

    assert few["average_payload"] == len('{"cookies":[],"metadata":{"a":""}}') + 100
    assert more["average_payload"] == len('{"cookies":[],"metadata":{"a":""}}') + (2 * 100 + 3 * 900) / 5
    for before, after in zip(few["queries"], more["queries"], strict=True):
        assert before["job"] == after["job"]
        assert before["seconds"] != after["seconds"]


def test_an_empty_database_raised_two_alarms(run):
    """Where there is nothing, nothing is wrong."""
    assert run("browser-report").jobs[0].product["recommendations"] == []


def test_the_monthly_report_covered_the_month_just_begun(run):
    """It is of the month that ended."""
    run("browser-report", now=datetime(2026, 3, 1, 4, tzinfo=UTC))

    assert str(SessionReport.objects.get()) == "2026-02"
