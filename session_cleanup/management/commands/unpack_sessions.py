import sys
from typing import Any

from django.core.management.base import CommandParser

from session_cleanup.engine import runner, unpacking
from session_cleanup.engine.report import RunReport, RunRequest
from session_cleanup.engine.stopping import stop_on_signals
from session_cleanup.management.commands.cleanup_sessions import number
from session_cleanup.management.refusals import RefusingCommand, exit_statuses
from session_cleanup.reporting import json as as_json
from session_cleanup.reporting import text as as_text

EXAMPLES = """
examples:
  manage.py unpack_sessions --dry-run                         how many rows are packed, in every column
  manage.py unpack_sessions                                   all of them are as they were
  manage.py unpack_sessions session_cleanup.Session.payload   only that column

It works in small batches and goes on where it was stopped. Take the jobs that compress out of the schedule
first. A row that cannot be unpacked stays as it is, is logged with its key, and makes the exit status 1.
"""


class Command(RefusingCommand):
    help = "Unpack what Compress has packed: every row is stored again as it was."
    epilog = EXAMPLES
    usage = "%(prog)s [MODEL.FIELD ...] [options]"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "columns",
            nargs="*",
            metavar="MODEL.FIELD",
            help="Default: every packed column.",
        )
        add("--dry-run", action="store_true", help="Show how many rows are packed. Writes nothing at all.")
        add("--max-rows", metavar="N", help="Rows of each column that may be unpacked.")
        add("--max-seconds", metavar="S", help="Seconds after which the run ends, between two batches.")
        add("--database", metavar="ALIAS", help="Run in this database instead of each model's own.")
        add("--format", choices=["text", "json"], default="text", help="How to print the result.")

    def handle(self, **options: Any) -> None:
        with exit_statuses():
            report = unpack(options)
        json = options["format"] == "json"
        self.stdout.write(as_json.render(report) + "\n" if json else as_text.render(report), ending="")
        left = any(job.skipped.get("corrupt") for job in report.jobs)
        if status := report.exit_status or int(left):
            sys.exit(status)


def unpack(options: dict[str, Any]) -> RunReport:
    request = RunRequest(
        dry_run=options["dry_run"],
        database=options["database"],
        max_rows=number(options["max_rows"]),
        max_seconds=number(options["max_seconds"]),
        trigger="command",
    )
    with stop_on_signals() as stop:
        return runner.run(request, policies=unpacking.jobs(options["columns"]), stopped=stop)
