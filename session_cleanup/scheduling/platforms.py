"""Kubernetes, GitHub Actions, Vercel and Celery: what each is told of the schedules."""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies.cron import parse
from session_cleanup.scheduling.cron import crontab_fields, runs, shortest_gap
from session_cleanup.scheduling.deployment import Deployment
from session_cleanup.scheduling.functions import NAMES, functions
from session_cleanup.scheduling.rendering import Files, Timers, address, fill, refuse_often

LONGEST_NAME = 52  # of a CronJob: Kubernetes adds to it
DAY = timedelta(days=1)
CELERY_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
CELERY_COUNTS = (60, 24, 31, 12, 7)
GITHUB_SHORTEST_GAP = timedelta(minutes=5)


def kubernetes(deployment: Deployment, timers: Timers, _: str | None) -> Files:
    """A CronJob for each timer; and in another file the scheduler, to be taken instead of them."""
    crons = []
    for cron, jobs in timers.items():
        gap = min(shortest_gap(cron), DAY)
        names = [job.name for job in jobs]
        crons.append(
            {
                "name": object_name(names[0]),
                "schedule": json.dumps(crontab_fields(cron)),
                "command": json.dumps(["python", deployment.manage_here, "cleanup_sessions", *names]),
                "starting_deadline": max(int(gap.total_seconds() / 2), 60),
                "active_deadline": int(gap.total_seconds()),
            }
        )
    values = {
        "crons": crons,
        "settings": deployment.settings,
        "image": json.dumps(deployment.image),
        "manage": json.dumps(deployment.manage_here),
    }
    return {
        "kubernetes/cronjobs.yaml": fill("cronjobs.yaml", values),
        "kubernetes/scheduler.yaml": fill("scheduler.yaml", values),
    }


def object_name(job: str) -> str:
    """A name of an object of Kubernetes; long ones are cut and told apart by a digest."""
    name = f"cleanup-{job}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9].rstrip('-')}-{hashlib.sha256(job.encode()).hexdigest()[:8]}"


def github(deployment: Deployment, timers: Timers, _: str | None) -> Files:
    """A workflow that calls the endpoint."""
    refuse_often(timers, least=GITHUB_SHORTEST_GAP, platform="GitHub Actions")
    values = {
        "crons": [
            (crontab_fields(cron), " ".join(job.name for job in jobs)) for cron, jobs in timers.items()
        ],
        "first": next(iter(timers.values()))[0].name,
        "path": address("JOB").replace("JOB", "$job"),
    }
    return {"github/cleanup-sessions.yml": fill("github.yml", values)}


def vercel(deployment: Deployment, timers: Timers, _: str | None) -> Files:
    """A call of the endpoint for each job; Vercel calls by GET."""
    for cron in timers:
        if parse(cron).either:
            raise ConfigurationError(
                f"Vercel takes a day of the month or a day of the week, and {cron!r} has both. Give its jobs "
                "another expression in SESSION_CLEANUP_SCHEDULES."
            )
    crons = [
        {"path": address(job.name), "schedule": crontab_fields(cron)}
        for cron, jobs in timers.items()
        for job in jobs
    ]
    config = {"$schema": "https://openapi.vercel.sh/vercel.json", "crons": crons}
    return {"vercel/vercel.json": json.dumps(config, indent=2) + "\n"}


def celery(deployment: Deployment, timers: Timers, _: str | None) -> Files:
    """A beat schedule as a dict, to be imported into the settings."""
    entries = [
        {
            "name": name,
            "when": when,
            "jobs": [job.name for job in jobs],
            "expires": int(min(shortest_gap(cron), DAY).total_seconds()),
        }
        for cron, jobs in timers.items()
        for name, when in celery_times(cron, jobs[0].name)
    ]
    return {"celery/cleanup_schedule.py": fill("celery_schedule", {"entries": entries})}


def celery_times(cron: str, name: str) -> Iterator[tuple[str, str]]:
    """Name and arguments of crontab(); two of them where cron means one day OR the other, Celery both."""
    fields = dict(zip(CELERY_FIELDS, celery_fields(cron), strict=True))
    if not parse(cron).either:
        yield f"cleanup-{name}", _arguments(fields)
        return
    yield f"cleanup-{name}-by-date", _arguments(fields | {"day_of_week": "*"})
    yield f"cleanup-{name}-by-weekday", _arguments(fields | {"day_of_month": "*"})


def celery_fields(cron: str) -> Iterator[str]:
    """The fields in numbers, since Celery reads some of what cron does in another way, or not at all."""
    parsed = parse(cron)
    values = (parsed.minutes, parsed.hours, parsed.days, parsed.months, parsed.weekdays)
    for numbers, count, field in zip(values, CELERY_COUNTS, cron.split(), strict=True):
        if len(numbers) == count:
            yield "*"
        elif re.fullmatch(r"\*/\d+", field):
            yield field
        else:
            yield ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in runs(numbers))


def _arguments(fields: dict[str, str]) -> str:
    return ", ".join(
        f'{name}="{value}"' for name, value in fields.items() if value != "*" or name == "minute"
    )


def pg_cron(deployment: Deployment, timers: Timers, _: str | None) -> Files:
    """SQL that lets PostgreSQL say when. By NOTIFY a scheduler that listens hears it and does the work; where
    a function can do the work, it is called."""
    made = functions(job for jobs in timers.values() for job in jobs)
    crons = [(job.name, crontab_fields(cron)) for cron, jobs in timers.items() for job in jobs]
    values = {
        "crons": [(name, cron, NAMES[name] if name in made else None) for name, cron in crons],
        "functions": [(name, cron, NAMES[name], made[name]) for name, cron in crons if name in made],
        "first": next((each for each in crons if each[0] not in made), crons[0]),
    }
    return {"pg_cron/cleanup-sessions.sql": fill("pg_cron.sql", values)}
