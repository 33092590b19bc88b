"""Render the files that make a host run the jobs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from session_cleanup.exceptions import SessionCleanupError
from session_cleanup.management.refusals import RefusingCommand
from session_cleanup.policies.validation import refuse_errors
from session_cleanup.scheduling import deploy, host
from session_cleanup.scheduling.rendering import Files
from session_cleanup.scheduling.schedules import timers

EXAMPLES = """
examples:
  cleanup_deploy systemd                          print the units for this project
  cleanup_deploy systemd --output build           write them to build/systemd/
  cleanup_deploy crontab --user shop --log-file /var/log/shop/cleanup.log
  cleanup_deploy railway --job collaborative-expired
  cleanup_deploy systemd --project-dir /srv/shop --python /srv/shop/.venv/bin/python
                                                  for another host than this one
  cleanup_deploy kubernetes --image registry.example.com/shop:1.0
  cleanup_deploy systemd crontab railway --output deploy --force

The hours are those of the policies and of SESSION_CLEANUP_SCHEDULES. Render and install again
after a change of them, of SESSION_CLEANUP_PRESETS, of a policy, or of a path.
"""
# Option -> what it means. A value that is not given is this project's, on this host.
VALUES = {
    "project-dir": "the directory the jobs run in (default: that of manage.py)",
    "manage": "manage.py (default: the one in the project's directory)",
    "python": "the interpreter (default: the one that is running now)",
    "env-file": "NAME=value lines, read if it is there (default: .env in the project's directory)",
    "user": "the account that runs the jobs (default: www-data)",
    "group": "its group (default: that account's own)",
    "log-file": f"what the crontab's lines write to (default: {host.DEFAULT_LOG})",
    "image": "kubernetes: the image that holds the project (default: app:latest)",
    "on-failure": "a program to start when a run fails; it is given the name of the timer's first "
    "job (default: a line in the system's log, or cron's mail)",
}


class Command(RefusingCommand):
    help = "Render what makes a host or a platform run the jobs by their schedules."
    epilog = EXAMPLES
    usage = None

    def add_arguments(self, parser: CommandParser) -> None:
        what = f"what to render: {', '.join(deploy.TARGETS)}"
        parser.add_argument("targets", nargs="+", choices=deploy.TARGETS, metavar="target", help=what)
        parser.add_argument("--output", metavar="DIR", help="write below DIR instead of printing")
        parser.add_argument("--force", action="store_true", help="overwrite files that differ")
        parser.add_argument(
            "--job", help="railway: the job (default: presentations-blank, or else the first)"
        )
        for name, meaning in VALUES.items():
            metavar = "NAME" if name in ("user", "group", "image") else "PATH"
            parser.add_argument(f"--{name}", metavar=metavar, help=meaning)

    def handle(self, *args: Any, **options: Any) -> None:
        names = [name.replace("-", "_") for name in VALUES]
        given = {name: options[name] for name in names if options[name] is not None}
        try:
            refuse_errors()
            deployment = host.deployment(**given)
            schedule = timers()
            files: Files = {}
            for target in options["targets"]:
                files |= deploy.render(target, deployment, schedule, options["job"])
                self.warn(deploy.warnings(target, deployment))
            self.deliver(files, options["output"], force=options["force"])
        except SessionCleanupError as error:
            raise CommandError(str(error), returncode=2) from error

    def deliver(self, files: Files, output: str | None, *, force: bool) -> None:
        if output is None:
            for name, text in files.items():
                self.stdout.write(f"==> {name} <==\n{text}")
            return
        self.warn(
            f"{unit} is left over from an earlier rendering. Delete it, and on the host: "
            f"sudo systemctl disable --now {unit}"
            for unit in deploy.write(files, Path(output), force=force)
        )
        self.stdout.write("\n".join(f"{output}/{name}" for name in files))

    def warn(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            self.stderr.write(self.style.WARNING(f"Warning: {warning}"))
