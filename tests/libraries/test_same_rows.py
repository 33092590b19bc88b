"""Each preset leaves the rows that the library's own command leaves, on equal data."""

from datetime import datetime, time, timedelta

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies import registry
from tests.factories import DAY
from tests.libraries.conftest import HOUR

AGES = [DAY, 29 * DAY, 30 * DAY - HOUR, 30 * DAY + HOUR, 400 * DAY]


def test_django_sessions(on, aged, same):
    on("django-sessions")
    for number, age in enumerate([-14 * DAY, -HOUR, HOUR, 30 * DAY]):
        now = timezone.now()
        aged("sessions.Session", "expire_date", age, session_key=f"key-{number}", expire_date=now)

    assert same(["sessions.Session"], ["clearsessions"]) == 2


def test_simplejwt(on, aged, same, user):
    on("simplejwt")
    for number, age in enumerate([-14 * DAY, -HOUR, HOUR, 30 * DAY]):
        values = {"jti": str(number), "token": "x", "user": user, "expires_at": timezone.now()}
        token = aged("token_blacklist.OutstandingToken", "expires_at", age, **values)
        apps.get_model("token_blacklist.BlacklistedToken").objects.create(token=token)

    labels = ["token_blacklist.OutstandingToken", "token_blacklist.BlacklistedToken"]
    assert same(labels, ["flushexpiredtokens"]) == 4


@pytest.mark.parametrize(
    ("label", "command"),
    [("axes.AccessLog", "axes_reset_logs"), ("axes.AccessFailureLog", "axes_reset_failure_logs")],
)
def test_axes(on, aged, same, label, command):
    on("axes")
    for age in AGES:
        aged(label, "attempt_time", age, username="anna", user_agent="x")

    assert same([label], [command, "--age", "30"]) == 2


def test_axes_keeps_attempts(on, aged, same):
    """Those that no longer count axes drops by itself, at the next login."""
    on("axes")
    aged("axes.AccessAttempt", "attempt_time", 400 * DAY, username="anna", failures_since_start=3)

    assert same(["axes.AccessAttempt"], ["axes_reset_logs"]) == 0


STATES = ["READY", "RUNNING", "SUCCESSFUL", "FAILED"]


def tasks(aged, **values):
    for state in STATES:
        for age in [DAY, 14 * DAY - HOUR, 14 * DAY + HOUR, 61 * DAY]:
            now = timezone.now()
            common = {"args_kwargs": {}, "task_path": "a.b", "run_after": now, "backend_name": "default"}
            aged(
                "django_tasks_database.DBTaskResult", "finished_at", age, status=state, **{**common, **values}
            )


def test_tasks_db(on, aged, same):
    on("tasks-db")
    tasks(aged)

    assert same(["django_tasks_database.DBTaskResult"], ["prune_db_task_results", "--queue-name", "*"]) == 4


def test_tasks_db_that_failed_may_stay_longer(on, aged, same, settings):
    on("tasks-db")
    settings.SESSION_CLEANUP_KEEP_DAYS = {"tasks-db": 10, "tasks-db-failed": 60}
    tasks(aged)

    ages = ["--min-age-days", "10", "--failed-min-age-days", "60"]
    assert same(["django_tasks_database.DBTaskResult"], ["prune_db_task_results", *ages]) == 4


def test_tasks_db_takes_all_queues_and_backends(on, aged, run):
    on("tasks-db")
    tasks(aged, queue_name="slow", backend_name="other")

    assert [job.changed for job in run(now=timezone.now()).jobs[:2]] == [2, 2]


@pytest.fixture
def celery_app(on):
    """celery_app(expires): the Celery app of the project, which keeps its results here so long."""
    on("celery-results")
    from celery import Celery

    made = []

    def make(expires, backend="django-db"):
        app = Celery("shop", backend=backend, set_as_current=False)
        app.conf.result_expires = expires
        app.set_current()
        made.append(app)
        return app

    yield make
    from celery import _state

    _state._tls.current_app = None
    for app in made:
        app.close()


def results(aged):
    for number, age in enumerate([HOUR, DAY - HOUR, DAY + HOUR, 3 * DAY - HOUR, 3 * DAY + HOUR]):
        for label, key in (("TaskResult", "task_id"), ("GroupResult", "group_id")):
            aged(f"django_celery_results.{label}", "date_done", age, **{key: str(number)})


RESULTS = ["django_celery_results.TaskResult", "django_celery_results.GroupResult"]


@pytest.mark.parametrize(("expires", "deleted"), [(3 * DAY, 2), (86400, 6), (timedelta(minutes=5), 10)])
def test_celery_results_expire_as_celery_says(celery_app, aged, same, expires, deleted):
    app = celery_app(expires)
    results(aged)

    assert same(RESULTS, app.backend.cleanup) == deleted


def test_celery_results_that_never_expire(celery_app, aged, same):
    app = celery_app(None)
    results(aged)

    with pytest.raises(ConfigurationError, match="No job is registered"):
        registry.select()
    app.backend.cleanup()
    assert apps.get_model(RESULTS[0]).objects.count() == 5


def test_celery_results_without_the_projects_celery_app_are_refused(celery_app, settings):
    celery_app(DAY, backend="cache+memory://")

    with pytest.raises(ConfigurationError, match="cannot know result_expires"):
        registry.declared()

    settings.SESSION_CLEANUP_KEEP_DAYS = {"celery-results": 3}
    assert [job.age for job in registry.declared()[:2]] == [3 * DAY, 3 * DAY]


def test_simple_history(on, aged, same):
    on("simple-history")
    for age in AGES:
        note = apps.get_model("libraries.Note").objects.create(text="x")
        note.history.update(history_date=timezone.now() - age)

    assert same(["libraries.HistoricalNote"], ["clean_old_history", "--auto", "--days", "30"]) == 2


def test_reversion(on, same):
    on("reversion")
    import reversion

    for age in AGES:
        with reversion.create_revision():
            reversion.set_date_created(timezone.now() - age)
            apps.get_model("libraries.Note").objects.create(text="x")

    labels = ["reversion.Revision", "reversion.Version"]
    assert same(labels, ["deleterevisions", "--days", "365", "--verbosity", "0"]) == 2


def test_reversion_takes_revisions_that_deleterevisions_never_finds(on, aged, run):
    """Those without a version of a model that is still registered."""
    on("reversion")
    aged("reversion.Revision", "date_created", 400 * DAY, date_created=timezone.now())

    assert run(now=timezone.now()).jobs[0].changed == 1


def entry(user):
    return {"content_type": ContentType.objects.get_for_model(user), "object_repr": "x"}


def test_auditlog(on, aged, same, user):
    """auditlogflush goes by whole days, so they agree at midnight."""
    on("auditlog")
    values = {"object_pk": str(user.pk), "action": 1, **entry(user)}
    for age in [DAY, 364 * DAY, 366 * DAY, 400 * DAY]:
        aged("auditlog.LogEntry", "timestamp", age, **values)
    midnight = timezone.make_aware(datetime.combine(timezone.localdate(), time()))

    before = (midnight - 365 * DAY).date().isoformat()
    assert same(["auditlog.LogEntry"], ["auditlogflush", "--yes", "--before-date", before], midnight) == 2


def older_than(label, clock, age):
    """What a project without a command of the library would do."""
    return lambda: apps.get_model(label).objects.filter(**{f"{clock}__lt": timezone.now() - age}).delete()


def test_admin_log(on, aged, same, user):
    on("admin-log")
    for age in AGES:
        aged("admin.LogEntry", "action_time", age, user=user, action_flag=1, **entry(user))

    assert same(["admin.LogEntry"], older_than("admin.LogEntry", "action_time", 365 * DAY)) == 1


@pytest.mark.parametrize(
    ("name", "values"),
    [("CRUDEvent", {"event_type": 1}), ("LoginEvent", {"login_type": 0}), ("RequestEvent", {"url": "/"})],
)
def test_easy_audit(on, aged, same, user, settings, name, values):
    on("easy-audit")
    settings.SESSION_CLEANUP_KEEP_DAYS = {"easy-audit": 30}
    if name == "CRUDEvent":
        values = {**values, **entry(user)}
    for age in AGES:
        aged(f"easyaudit.{name}", "datetime", age, **values)

    label = f"easyaudit.{name}"
    assert same([label], older_than(label, "datetime", 30 * DAY)) == 2
