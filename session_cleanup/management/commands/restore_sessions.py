import sys
from typing import Any

from django.core.management.base import CommandParser

from session_cleanup.engine.restore_report import RestoreRequest
from session_cleanup.engine.restores import restorable, restore
from session_cleanup.engine.stopping import stop_on_signals
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.management.commands.cleanup_sessions import number
from session_cleanup.management.refusals import RefusingCommand, exit_statuses
from session_cleanup.reporting import restored

EXAMPLES = """
examples:
  manage.py restore_sessions                              the runs that can be taken back
  manage.py restore_sessions 17 --dry-run                 what would come back, and what is in its way
  manage.py restore_sessions 17                           all that run 17 deleted or changed
  manage.py restore_sessions 17 --job presentations-blank
  manage.py restore_sessions 17 --job presentations-blank --pk 4711 --pk 4712

exit status:
  0  all of it is back                               3  some rows were left alone: they are named
  1  it failed                                       4  a job that it is about is being run
  2  refused: nothing was touched                    5  stopped by a signal, after the batch under way
"""


class Command(RefusingCommand):
    help = "Take back what a cleanup run deleted or changed, as far as its undo records still exist."
    epilog = EXAMPLES
    usage = "%(prog)s [RUN] [options]"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("run", metavar="RUN", nargs="?", help="The number of the run. Left out: shows what there is.")
        add("--job", metavar="NAME", help="Only what this job did.")
        add(
            "--pk",
            action="append",
            metavar="KEY",
            help="Only the row with this primary key, and what hung on it. May be given again.",
        )
        add("--dry-run", action="store_true", help="Show what would come back. Writes nothing at all.")
        add("--format", choices=["text", "json"], default="text", help="How to print the result.")

    def handle(self, **options: Any) -> None:
        as_json = options["format"] == "json"
        if options["run"] is None:
            with exit_statuses():
                refuse_without_run(options)
                found = restorable()
            self.stdout.write(
                restored.list_as_json(found) if as_json else restored.list_as_text(found), ending=""
            )
            return
        with exit_statuses(), stop_on_signals() as stop:
            request = RestoreRequest(
                run=number(options["run"]),
                job=options["job"],
                pks=tuple(options["pk"] or ()),
                dry_run=options["dry_run"],
                trigger="command",
            )
            report = restore(request, stopped=stop)
        self.stdout.write(restored.as_json(report) if as_json else restored.as_text(report), ending="")
        if report.exit_status:  # on success return normally, so that call_command() works
            sys.exit(report.exit_status)


def refuse_without_run(options: dict[str, Any]) -> None:
    given = [f"--{name.replace('_', '-')}" for name in ("job", "pk", "dry_run") if options[name]]
    if given:
        raise ConfigurationError(f"{', '.join(given)} needs RUN, the number of the run to take back.")
