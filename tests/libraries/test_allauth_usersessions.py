"""The preset `allauth-usersessions` beside what allauth does when a user looks at the list of sessions."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies import registry
from tests.libraries.conftest import HOUR

LABEL = "usersessions.UserSession"


@pytest.fixture
def logged_in(user):
    """logged_in(): the user's session in a browser, as allauth keeps it."""

    def log_in(*, lives=HOUR, hash_of_the_password=None):
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = hash_of_the_password or user.get_session_auth_hash()
        session.set_expiry(timezone.now() + lives)
        session.save()
        model = apps.get_model(LABEL)
        return model.objects.create(user=user, ip="::1", session_key=session.session_key, user_agent="x")

    return log_in


def theirs(user):
    return lambda: apps.get_model(LABEL).objects.purge_and_list(user)


def end(row):
    SessionStore(row.session_key).delete()


@pytest.fixture
def two(on):
    on("django-sessions", "allauth-usersessions")


def test_the_same_rows(two, logged_in, same, user):
    logged_in()
    end(logged_in())
    logged_in(lives=-HOUR)

    assert same([LABEL], theirs(user)) == 2


def test_an_expired_session_and_its_user_session_go_in_one_run(two, logged_in, run):
    logged_in(lives=-timedelta(days=1))

    report = run(now=timezone.now())

    assert [job.changed for job in report.jobs[:2]] == [1, 1]


def test_kinder_to_a_session_that_logs_nobody_in_any_more(two, logged_in, run, user):
    """After a change of password. It stays until it expires, or until its user looks at the list."""
    row = logged_in(hash_of_the_password="of another password")

    run(now=timezone.now())
    assert apps.get_model(LABEL).objects.get() == row

    assert theirs(user)() == []


@pytest.mark.parametrize("preset", ["django-sessions", "allauth-usersessions"])
def test_sessions_that_are_in_no_table_are_refused(on, settings, preset):
    """With them in a cache, each user session would seem an orphan."""
    on(preset)
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"

    with pytest.raises(ConfigurationError, match=r"SESSION_ENGINE is .* keeps no sessions in a table"):
        registry.jobs()


def test_cached_sessions_are_in_a_table_too(on, settings):
    on("django-sessions")
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"

    assert registry.jobs()[0].model == "sessions.Session"
