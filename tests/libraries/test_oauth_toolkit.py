"""The preset `oauth-toolkit` beside cleartokens: the same rows, by the toolkit's own settings."""

import threading
from datetime import timedelta
from itertools import count, product

import pytest
from django.apps import apps
from django.db import connections, transaction
from django.utils import timezone

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies import registry
from tests.factories import DAY
from tests.libraries.conftest import HOUR

MODELS = ["RefreshToken", "AccessToken", "IDToken", "Grant"]
LABELS = [f"oauth2_provider.{name}" for name in MODELS]
EXPIRIES = [HOUR, -HOUR, -29 * DAY, -31 * DAY]  # of access tokens, from now
REVOKED = [HOUR / 2, 2 * HOUR, 31 * DAY]  # ago; the grace is an hour
numbers = count()


def make(name, **values):
    return apps.get_model(f"oauth2_provider.{name}").objects.create(**values)


@pytest.fixture
def owner(on, user):
    """What each token belongs to."""
    on("oauth-toolkit")
    client = make("Application", client_type="public", authorization_grant_type="password")
    return {"user": user, "application": client}


def access(owner, expires, *, with_id=False, **values):
    """An access token that expires then, from now on; its ID token has expired already."""
    now = timezone.now()
    if with_id:
        values["id_token"] = make("IDToken", expires=now - HOUR, **owner)
    return make("AccessToken", token=f"a{next(numbers)}", expires=now + expires, **values, **owner)


def refresh(owner, **values):
    return make("RefreshToken", token=f"r{next(numbers)}", **values, **owner)


def everything(owner):
    """Tokens in every state that the toolkit itself brings them into, and orphans."""
    now = timezone.now()
    for expires, with_id in product(EXPIRIES, [False, True]):
        access(owner, expires, with_id=with_id)
        refresh(owner, access_token=access(owner, expires, with_id=with_id))
        for ago in REVOKED:  # rotated: the successor was made with the one before
            before = refresh(owner, revoked=now - ago)
            after = access(owner, expires, with_id=with_id, source_refresh_token=before)
            refresh(owner, access_token=after)
    refresh(owner)
    for expires in (HOUR, -HOUR):
        make("Grant", code=f"g{next(numbers)}", expires=now + expires, redirect_uri="x", **owner)
        make("IDToken", expires=now + expires, **owner)


def test_the_same_rows_in_one_run(owner, same):
    everything(owner)

    assert same(LABELS, ["cleartokens"]) > 30


def test_the_same_rows_where_refresh_tokens_never_expire(owner, same, settings):
    settings.OAUTH2_PROVIDER = {}
    everything(owner)

    assert "oauth-toolkit-idle-refresh-tokens" not in [job.name for job in registry.declared()]
    assert same(LABELS, ["cleartokens"]) > 20


@pytest.mark.parametrize("expires", [None, timedelta(days=30)])
def test_the_same_rows_under_reuse_protection(owner, same, settings, expires):
    protection = {"REFRESH_TOKEN_REUSE_PROTECTION": True, "REFRESH_TOKEN_EXPIRE_SECONDS": expires}
    settings.OAUTH2_PROVIDER = protection
    everything(owner)

    assert same(LABELS, ["cleartokens"]) > 10


def test_a_refresh_token_in_its_grace_is_kept_however_idle(owner, same):
    refresh(owner, revoked=timezone.now() - HOUR / 2, access_token=access(owner, -31 * DAY))

    assert same(LABELS, ["cleartokens"]) == 0


def test_a_revoked_refresh_token_that_still_holds_an_access_token_takes_two_runs(owner, run):
    """The toolkit leaves none such behind: revoking deletes the access token."""
    now = timezone.now()
    refresh(owner, revoked=now - 2 * HOUR, access_token=access(owner, -HOUR))

    first = {job.name: job.changed for job in run(now=now).jobs}
    second = {job.name: job.changed for job in run(now=now).jobs}

    assert (first["oauth-toolkit-revoked-refresh-tokens"], first["oauth-toolkit-access-tokens"]) == (1, 0)
    assert second["oauth-toolkit-access-tokens"] == 1


def test_swapped_models_are_followed(owner, monkeypatch):
    from oauth2_provider.settings import oauth2_settings

    monkeypatch.setattr(oauth2_settings, "REFRESH_TOKEN_MODEL", "shop.Refresh")

    models = {job.model for job in registry.preset("oauth-toolkit")}
    assert models == {"shop.Refresh", *LABELS[1:]}


def test_an_older_release_is_refused(owner, monkeypatch):
    from oauth2_provider import models

    monkeypatch.delattr(models, "refresh_token_expire_timedelta")

    with pytest.raises(ConfigurationError, match="does not fit the installed release of oauth2_provider"):
        registry.preset("oauth-toolkit")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_token_that_is_refreshed_meanwhile_is_kept(owner):
    """Its client holds it while the run comes by: the run waits for it at the end, and judges it again."""
    idle = refresh(owner, access_token=access(owner, -31 * DAY))
    held, run_is_over = threading.Event(), threading.Event()

    def use():
        try:
            with transaction.atomic():
                type(idle).objects.select_for_update().get(pk=idle.pk)
                later = timezone.now() + HOUR
                type(idle.access_token).objects.filter(pk=idle.access_token_id).update(expires=later)
                held.set()
                run_is_over.wait(0.5)
        finally:
            connections.close_all()

    client = threading.Thread(target=use)
    client.start()
    assert held.wait(10)
    report = runner.run(RunRequest(jobs=("oauth-toolkit",)), now=timezone.now())
    client.join(10)

    assert report.status == "ok"
    assert sum(job.changed for job in report.jobs) == 0
    assert type(idle).objects.filter(pk=idle.pk).exists()
