import json
import re
import sys
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from session_cleanup.engine import runner
from session_cleanup.engine.report import RANGES, RunReport, RunRequest
from session_cleanup.engine.stopping import stop_on_signals
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.management.refusals import RefusingCommand, exit_statuses
from session_cleanup.policies import registry
from session_cleanup.policies.policy import GROUPS
from session_cleanup.policies.validation import refuse_errors
from session_cleanup.reporting import json as as_json
from session_cleanup.reporting import text as as_text
from session_cleanup.reporting.progress import progress_on
from session_cleanup.scheduling.schedules import schedule_of

LISTED = 50  # rows a verbose listing shows; with -v 3 all of them
EVERYTHING = 10**12
NUMBER = re.compile(r"[+-]?[0-9]{1,20}")
LIMITS = ("dry_run", "max_age", "days", "series", "days_ahead", "batch_size", "max_rows", "max_seconds")

EXAMPLES = """
examples:
  manage.py cleanup_sessions --dry-run --verbose   what would be changed, row by row; nothing is written
  manage.py cleanup_sessions                       every job but the weekly and monthly ones
  manage.py cleanup_sessions --list                the jobs, what they do and when
  manage.py cleanup_sessions collaborative-expired --max-rows 100
  manage.py cleanup_sessions presentations-blank --max-age 48 --dry-run
  manage.py cleanup_sessions --type daily --max-seconds 600 --format json

exit status:
  0  every job drained (or cleanup is disabled)      3  work remains: a limit was reached
  1  a job failed                                    4  another process runs one of the jobs
  2  refused: nothing was touched                    5  stopped by a signal, after the batch under way
"""


class Command(RefusingCommand):
    help = "Run the cleanup jobs of this project: deactivate, close or delete the rows that are due."
    epilog = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "jobs",
            nargs="*",
            metavar="JOB",
            help="Jobs or presets to run. Default: all but weekly and monthly jobs.",
        )
        add("--type", metavar="GROUP", help=f"Run the jobs of one group: {', '.join(GROUPS)}.")
        add("--dry-run", action="store_true", help="Show what a run would change. Writes nothing at all.")
        add(
            "--verbose",
            action="store_true",
            help=f"Show statistics and the rows that are due (first {LISTED}; -v 3: all).",
        )
        add("--stats", action="store_true", help="Show statistics only.")
        add("--list", action="store_true", help="Show the jobs only.")
        add("--max-age", metavar="HOURS", help="For this run, the age of jobs that count in hours (1-8760).")
        add("--days", metavar="N", help="For this run, the age of jobs that count in days (1-365).")
        add("--series", metavar="UID", help="Generate this series only, also if nothing of it is due.")
        add("--days-ahead", metavar="N", help="For this run, the days ahead that are generated (1-366).")
        add("--batch-size", metavar="N", help="The largest batch, in rows (1-10000).")
        add("--max-rows", metavar="N", help="Rows that each job may change (what goes along not counted).")
        add("--max-seconds", metavar="S", help="Seconds after which the run ends, between two batches.")
        add("--database", metavar="ALIAS", help="Run in this database instead of each job's own.")
        add("--format", choices=["text", "json"], default="text", help="How to print the result.")

    def handle(self, **options: Any) -> None:
        with exit_statuses():
            request = request_from(options)
            if options["list"]:
                refuse_together("--list", options, "database")
                shown, exit_status = list_jobs(options), 0
            else:
                report = self.run_or_count(request, options)
                shown, exit_status = render(report, options), report.exit_status
        self.stdout.write(shown, ending="")
        if exit_status:  # on success return normally, so that call_command() works
            sys.exit(exit_status)

    def run_or_count(self, request: RunRequest, options: dict[str, Any]) -> RunReport:
        if options["stats"]:
            refuse_together("--stats", options)
            return runner.count(request)
        if request.dry_run:  # the first Ctrl-C ends it: there is no batch to wait for
            return runner.run(request)
        with stop_on_signals() as stop, progress_on(sys.stderr, options) as observer:
            return runner.run(request, observer=observer, stopped=stop)


def list_jobs(options: dict[str, Any]) -> str:
    refuse_errors()
    chosen = bool(options["jobs"] or options["type"])
    jobs = registry.select(options["jobs"], options["type"]) if chosen else registry.jobs()
    schedules = {job.name: schedule_of(job) for job in jobs}
    if options["format"] == "json":
        return json.dumps(as_json.jobs(jobs, schedules)) + "\n"
    return as_text.render_list(jobs, schedules)


def request_from(options: dict[str, Any]) -> RunRequest:
    listing = EVERYTHING if options["verbosity"] >= 3 else LISTED
    text = options["format"] == "text"
    return RunRequest(
        jobs=tuple(options["jobs"]),
        group=options["type"],
        dry_run=options["dry_run"],
        database=options["database"],
        stats=options["verbose"],
        ages=text,
        list_rows=listing if options["verbose"] and text else None,
        trigger="command",
        series=uid(options["series"]),
        **{name: number(options[name]) for name in (option.replace("-", "_") for option in RANGES)},
    )


def number(value: Any) -> Any:
    """The number that was typed; anything else is left as it is, to be refused with its option."""
    return int(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value


def uid(value: Any) -> Any:
    """The UUID that was typed; anything else is left as it is, to be refused."""
    try:
        return UUID(value)
    except (TypeError, ValueError, AttributeError):
        return value


def refuse_together(what: str, options: dict[str, Any], *more: str) -> None:
    names = [name for name in (*LIMITS, *more) if options[name] not in (None, False)]
    given = [f"--{name.replace('_', '-')}" for name in names]
    if given or (options["list"] and options["stats"]):
        raise ConfigurationError(
            f"{what} shows something and runs nothing, so it does not go with "
            f"{', '.join(given) or '--stats'}. Leave one of them out."
        )


def render(report: RunReport, options: dict[str, Any]) -> str:
    if options["format"] == "json":
        return as_json.render(report) + "\n"
    if options["stats"]:
        return as_text.render_statistics(report)
    return as_text.render(report, verbose=options["verbose"])
