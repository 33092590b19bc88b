"""What every target of cleanup_deploy works with: timers, the files it gives, and the templates beside."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from django.template import Context, Engine
from django.urls import NoReverseMatch, reverse

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies.job import Job
from session_cleanup.scheduling.cron import shortest_gap

Timers = Mapping[str, Sequence[Job]]
Files = dict[str, str]  # path inside the output directory -> text

TEMPLATES = Engine(dirs=[str(Path(__file__).parent / "templates")], string_if_invalid="(no value: %s)")


def fill(template: str, values: Mapping[str, object]) -> str:
    return TEMPLATES.get_template(template).render(Context(dict(values), autoescape=False))


def address(name: str) -> str:
    """The path of the endpoint that runs a job, such as /cleanup/cron/carts/."""
    try:
        return reverse("session_cleanup:cron", args=[name])
    except NoReverseMatch:
        raise ConfigurationError(
            "The endpoint has no address. Add it to the project's URLs: "
            'path("cleanup/", include("session_cleanup.urls")).'
        ) from None


def refuse_often(crons: Iterable[str], *, least: timedelta, platform: str) -> None:
    """Refuse what the platform would start less often than it says."""
    for cron in crons:
        if shortest_gap(cron) < least:
            raise ConfigurationError(
                f"{cron!r} comes true more often than every {least}, which {platform} does not do. Give its "
                "jobs another hour in SESSION_CLEANUP_SCHEDULES, or choose another way to start them."
            )
