"""The files that make a host or a platform run the jobs: systemd units, a crontab, a Railway service …

Rendered from the templates beside this module, with the values of a Deployment; the schedules are
those of schedules.timers(), so that a timer and a crontab never name different hours.
"""

import json
import os
import shlex
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from session_cleanup.conf import conf
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.scheduling.cron import crontab_fields, on_calendar, shortest_gap
from session_cleanup.scheduling.deployment import (
    Deployment,
    crontab_word,
    shell_surprises,
    unit_word,
)
from session_cleanup.scheduling.host import zone_beside_utc
from session_cleanup.scheduling.platforms import celery, github, kubernetes, pg_cron, vercel
from session_cleanup.scheduling.rendering import Files, Timers, fill

LONGEST_CRONTAB_LINE = 998  # Debian's cron cuts off what is longer
RAILWAY_SHORTEST_GAP = timedelta(minutes=5)


def render(target: str, deployment: Deployment, timers: Timers, railway_job: str | None = None) -> Files:
    """The files of one target of TARGETS."""
    return TARGETS[target](deployment, timers, railway_job)


def systemd(deployment: Deployment, timers: Timers, _: str | None) -> Files:
    """A service template; for each timer the timer itself and a drop-in that names its jobs."""
    named = {jobs[0].name: (cron, jobs) for cron, jobs in timers.items()}
    values = {
        "deployment": deployment,
        "timers": list(named),
        "working_directory": deployment.project_dir.replace("%", "%%"),
        "env_file": deployment.env_file.replace("%", "%%"),
        "command": " ".join(map(unit_word, [deployment.python, deployment.manage])),
        "writable": " ".join(unit_word(f"-{path}") for path in deployment.writable),
        "on_failure": deployment.on_failure and unit_word(deployment.on_failure),
        "private_home": not deployment.lies_under("/home", "/root", "/run/user"),
        "private_tmp": not deployment.lies_under("/tmp", "/var/tmp"),
    }
    files = {
        f"systemd/{unit}.service": fill(f"{unit}.service", values)
        for unit in ("cleanup-sessions@", "cleanup-sessions-failed@")
    }
    for name, (cron, jobs) in named.items():
        values |= {
            "name": name,
            "cron": cron,
            "jobs": " ".join(job.name for job in jobs),
            "calendar": on_calendar(cron),
            "delay": int(min(shortest_gap(cron) / 10, timedelta(minutes=5)).total_seconds()),
        }
        unit = f"systemd/cleanup-sessions@{name}"
        files[f"{unit}.timer"] = fill("timer", values)
        files[f"{unit}.service.d/jobs.conf"] = fill("jobs.conf", values)
    return files


def crontab(deployment: Deployment, timers: Timers, _: str | None) -> Files:
    """Lines for the user's crontab, and the rotation of their log."""
    lines = [crontab_line(deployment, cron, [job.name for job in jobs]) for cron, jobs in timers.items()]
    values = {
        "deployment": deployment,
        "lines": lines,
        "quoted_log": shlex.quote(deployment.log_file),
        "quoted_directory": shlex.quote(os.path.dirname(deployment.log_file)),
    }
    return {
        "crontab/cleanup-sessions.crontab": fill("crontab", values),
        "crontab/cleanup-sessions.logrotate": fill("logrotate", values),
    }


def crontab_line(deployment: Deployment, cron: str, jobs: Sequence[str]) -> str:
    """One line, in a subshell: a broken environment file would end the shell that reads it."""
    project, env_file, python, manage, log, program = (
        crontab_word(value)
        for value in (
            deployment.project_dir,
            deployment.env_file,
            deployment.python,
            deployment.manage,
            deployment.log_file,
            deployment.on_failure or "",
        )
    )
    steps = [
        f"cd {project}",
        f"set -a && DJANGO_SETTINGS_MODULE={deployment.settings}",
        f"{{ [ ! -e {env_file} ] || . {env_file}; }}",
        f"{python} {manage} cleanup_sessions {' '.join(jobs)}",
    ]
    said = f"echo cleanup_sessions {jobs[0]} failed: see {log}"
    failed = f"{program} {jobs[0]}" if deployment.on_failure else said
    line = (
        f"{crontab_fields(cron)} ( {' && '.join(steps)} ) >> {log} 2>&1"
        f" || case $? in 3|4) ;; *) {failed} ;; esac"
    )
    if len(line) > LONGEST_CRONTAB_LINE:
        raise ConfigurationError(
            f"The crontab line of {cron!r} has {len(line)} characters and cron reads "
            f"{LONGEST_CRONTAB_LINE}. Give some of its {len(jobs)} jobs another hour in "
            "SESSION_CLEANUP_SCHEDULES, or use systemd."
        )
    return line


def railway(deployment: Deployment, timers: Timers, chosen: str | None) -> Files:
    """One service with one schedule: that of the chosen job."""
    schedules = {job.name: cron for cron, jobs in timers.items() for job in jobs}
    usual = "presentations-blank" if "presentations-blank" in schedules else next(iter(schedules))
    job = usual if chosen is None else chosen
    if job not in schedules:
        raise ConfigurationError(f"--job {job!r} is no job. Choose one of {', '.join(schedules)}.")
    if shortest_gap(schedules[job]) < RAILWAY_SHORTEST_GAP:
        raise ConfigurationError(
            f"Job {job!r} runs at {schedules[job]!r}, and Railway starts nothing more often than "
            "every 5 minutes. Give it another hour in SESSION_CLEANUP_SCHEDULES, or choose another "
            "--job."
        )
    service = {
        "startCommand": shlex.join(["python", deployment.manage_here, "cleanup_sessions", job]),
        "cronSchedule": crontab_fields(schedules[job]),
        "restartPolicyType": "NEVER",
    }
    values = {"job": job, "settings": deployment.settings, **service}
    config = {"$schema": "https://railway.com/railway.schema.json", "deploy": service}
    return {
        "railway/railway.json": json.dumps(config, indent=2) + "\n",
        "railway/README.md": fill("railway.md", values),
    }


TARGETS: dict[str, Callable[[Deployment, Timers, str | None], Files]] = {
    "systemd": systemd,
    "crontab": crontab,
    "railway": railway,
    "kubernetes": kubernetes,
    "pg_cron": pg_cron,
    "github": github,
    "vercel": vercel,
    "celery": celery,
}


def warnings(target: str, deployment: Deployment) -> list[str]:
    """What would make the rendered files do something else than they say, on this host."""
    if target == "vercel" and not conf.CRON_ALLOW_GET:
        return ["Vercel can only GET. Set SESSION_CLEANUP_CRON_ALLOW_GET = True, or it is told 405."]
    if target != "crontab":
        return []
    found = shell_surprises(deployment.env_file)
    if zone := zone_beside_utc():
        found.append(
            f"This host's time zone is {zone}, and cron goes by it, while the schedules are UTC. "
            "Set the host to UTC (timedatectl set-timezone UTC), or use the systemd timers, which "
            "name UTC. CRON_TZ=UTC above the lines helps with cronie; Debian's cron ignores it."
        )
    return found


def write(files: Files, directory: Path, *, force: bool) -> list[str]:
    """Write the files and return the timers found there that are not among them.

    Raises ConfigurationError, and writes nothing, where another text would be lost.
    """
    try:
        different = [name for name, text in files.items() if changed(directory / name, text)]
        if different and not force:
            raise ConfigurationError(
                f"{directory} holds other texts of {', '.join(different)}. Nothing was written. "
                "Look at them, then say --force to overwrite them, or give another --output."
            )
        for name, text in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"--output {directory}: {error}. Give another directory.") from error
    if not any(name.endswith(".timer") for name in files):
        return []
    there = (directory / "systemd").glob("cleanup-sessions@*.timer")
    return sorted(path.name for path in there if f"systemd/{path.name}" not in files)


def changed(path: Path, text: str) -> bool:
    return path.exists() and path.read_bytes() != text.encode()
