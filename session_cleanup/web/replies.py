"""What callers of the endpoint are told: figures and names of jobs, and of an error its class alone."""

import logging
import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse

from session_cleanup.engine.report import JobReport, RunReport
from session_cleanup.exceptions import DatabaseUnavailable
from session_cleanup.reporting import json as as_json
from session_cleanup.web.bearers import Bearer, failures

logger = logging.getLogger(__name__)
View = Callable[..., HttpResponse]
CODES = {"busy": 409, "failed": 500}  # of a run; any other status is 200
RETRY_SECONDS = 60
CLASSES = {"busy": "LeaseBusy", "lease_lost": "LeaseLost"}
CLASS = re.compile(r"\w+(?=: |$)", re.ASCII)
# Jobs of the preset recurring, and what its callers call the sessions that they changed.
RECURRING = {"recurring-activate": "activated", "recurring-close": "closed"}


def told(view: View) -> View:
    """Whatever goes wrong in `view`, its caller is told so in a word; nothing is ever cached."""

    @wraps(view)
    def safe(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except (DatabaseUnavailable, OperationalError, InterfaceError) as error:
            logger.error("endpoint: the database failed error=%s", type(error).__name__, exc_info=error)
            response = refusal(503, "DatabaseUnavailable", {"Retry-After": str(RETRY_SECONDS)})
        except Exception as error:
            logger.exception("endpoint failed error=%s", type(error).__name__)
            response = refusal(500, type(error).__name__)
        response["Cache-Control"] = "no-store"
        return response

    return safe


def refusal(code: int, error: str, headers: dict[str, str] | None = None) -> HttpResponse:
    return JsonResponse({"success": False, "error": error}, status=code, headers=headers)


def wrong_method(allowed: Sequence[str]) -> HttpResponse:
    return refusal(405, "MethodNotAllowed", {"Allow": ", ".join(allowed)})


def not_let_in(bearer: Bearer) -> HttpResponse:
    if bearer is Bearer.CLOSED:
        return refusal(503, "NotConfigured")
    if bearer is Bearer.TOO_MANY:
        return refusal(429, "TooManyFailures", {"Retry-After": str(failures.seconds_left())})
    return refusal(401, "Unauthorized", {"WWW-Authenticate": 'Bearer realm="session_cleanup"'})


def of_run(report: RunReport) -> HttpResponse:
    said = as_json.as_dict(report)
    for job, shown in zip(report.jobs, said["jobs"], strict=True):
        shown["error"] = error_class(job)
    for job in report.jobs:
        if word := RECURRING.get(job.name):
            said[word] = job.figures.get(word, 0)  # zeros are left out there
        elif job.name == "recurring-generate":
            said["generated"] = job.product["series"] if job.product else []
    code = CODES.get(report.status, 200)
    headers = {"Retry-After": str(RETRY_SECONDS)} if report.status == "busy" else None
    return JsonResponse({"success": code == 200, **said}, status=code, headers=headers)


def error_class(job: JobReport) -> str | None:
    """Only the class: what an error says may name hosts, rows and what is in them."""
    if job.error is None:
        return None
    found = CLASS.match(job.error)
    return CLASSES.get(job.end_state or "") or (found[0] if found else "Error")
