"""What cleartokens of django-oauth-toolkit deletes, and hardly ever in more than one run.

The order matters. An idle refresh token goes before the access token that it alone still kept, and that
before its ID token; revoked refresh tokens come after the access tokens, since deleting one writes to the
access token that was made with it, and a run changes no row twice.
"""

from datetime import timedelta

from django.db.models import Q

from session_cleanup.policies.policy import Policy
from session_cleanup.policies.presets.library import job
from session_cleanup.policies.selections import Aged


def policies() -> list[Policy]:
    # Releases before 3.4, which lack this function, keep refresh tokens by other rules.
    from oauth2_provider.models import refresh_token_expire_timedelta
    from oauth2_provider.settings import oauth2_settings as theirs

    idle: timedelta | None = refresh_token_expire_timedelta()
    grace = timedelta(seconds=theirs.REFRESH_TOKEN_GRACE_PERIOD_SECONDS or 0)
    # Under reuse protection a revoked token is what tells that it was stolen.
    revoked = idle if theirs.REFRESH_TOKEN_REUSE_PROTECTION else grace
    refresh = theirs.REFRESH_TOKEN_MODEL

    jobs = []
    if idle is not None:
        select = Aged("access_token__expires", older_than=idle)
        jobs.append(_job("idle-refresh-tokens", refresh, select, Q(revoked__isnull=True)))
    orphaned = Q(revoked__isnull=True, access_token__isnull=True)
    jobs += [
        _job("orphaned-refresh-tokens", refresh, Aged("created"), orphaned),
        _job("access-tokens", theirs.ACCESS_TOKEN_MODEL, Aged("expires", unreferenced_by="refresh_token")),
    ]
    if revoked is not None:
        jobs.append(_job("revoked-refresh-tokens", refresh, Aged("revoked", older_than=revoked)))
    return [
        *jobs,
        _job("id-tokens", theirs.ID_TOKEN_MODEL, Aged("expires", unreferenced_by="access_token")),
        _job("grants", theirs.GRANT_MODEL, Aged("expires")),
    ]


def _job(name: str, model: str, select: Aged, where: Q | None = None) -> Policy:
    return job("oauth-toolkit", name, model, select, where)
