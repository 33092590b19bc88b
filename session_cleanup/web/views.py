"""The HTTP endpoint: other programs start jobs by it, and ask whether jobs succeed.

It takes nothing from the URL but a name: what is due, and how old that must be, is the project's to say.
"""

from typing import Any

from django.db import router, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from session_cleanup.conf import conf
from session_cleanup.engine import runner
from session_cleanup.engine.connections import database_clock
from session_cleanup.engine.report import RunRequest
from session_cleanup.models import CleanupRun
from session_cleanup.policies import registry
from session_cleanup.policies.policy import GROUPS
from session_cleanup.reporting.json import iso
from session_cleanup.scheduling.health import JobHealth, health_of_jobs
from session_cleanup.web import replies
from session_cleanup.web.bearers import Bearer, bearer_of


@csrf_exempt
@transaction.non_atomic_requests  # each batch is a transaction of its own
@replies.told
def cron(request: HttpRequest, name: str) -> HttpResponse:
    """Run a job, a preset or a group, and say what came of it."""
    allowed = ["GET", "POST"] if conf.CRON_ALLOW_GET else ["POST"]
    if request.method not in allowed:
        return replies.wrong_method(allowed)
    bearer = bearer_of(request)
    if bearer is not Bearer.KNOWN:
        return replies.not_let_in(bearer)
    if not registry.named(name):
        return replies.refusal(404, "UnknownName")
    if request.META.get("QUERY_STRING"):  # it would look as if it had been heeded
        return replies.refusal(400, "ParametersNotAllowed")
    jobs, group = ((), name) if name in GROUPS else ((name,), None)
    asked = RunRequest(
        jobs=jobs,
        group=group,
        max_seconds=conf.CRON_SECONDS,
        unless_since=database_clock(router.db_for_write(CleanupRun)),
        trigger="http",
    )
    return replies.of_run(runner.run(asked))


@csrf_exempt
@transaction.non_atomic_requests
@replies.told
def health(request: HttpRequest) -> HttpResponse:
    """200, or 503 when a job is stale; which one, only to those who know a secret."""
    if request.method not in ("GET", "HEAD"):
        return replies.wrong_method(["GET", "HEAD"])
    bearer = bearer_of(request)
    if bearer in (Bearer.WRONG, Bearer.TOO_MANY):
        return replies.not_let_in(bearer)
    now, jobs = health_of_jobs()
    stale = conf.ENABLED and any(job.stale for job in jobs)
    said: dict[str, Any] = {"status": "stale" if stale else "ok" if conf.ENABLED else "disabled"}
    if bearer is Bearer.KNOWN:
        said |= {"checked_at": iso(now), "jobs": [_shown(job) for job in jobs]}
    return JsonResponse(said, status=503 if stale else 200)


def _shown(job: JobHealth) -> dict[str, object]:
    return {
        "name": job.name,
        "schedule": job.schedule,
        "last_success": iso(job.last_success),
        "age_seconds": job.age and round(job.age.total_seconds()),
        "stale_after_seconds": round(job.allowed.total_seconds()),
        "stale": job.stale,
    }
