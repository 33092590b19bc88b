import sys
from typing import Any

from django.core.management.base import CommandParser

from session_cleanup.doctor.examination import examine
from session_cleanup.doctor.findings import MEANINGS
from session_cleanup.management.refusals import RefusingCommand, exit_statuses
from session_cleanup.reporting.diagnosis import as_json, as_text

EXAMPLES = f"""
examples:
  manage.py cleanup_doctor                       every job
  manage.py cleanup_doctor presentations         the jobs of one preset
  manage.py cleanup_doctor old-carts --format json

findings:
{chr(10).join(f"  {slug:24} {meaning}" for slug, meaning in MEANINGS.items())}

exit status:
  0  nothing serious was found
  1  something serious was found, or a database failed
  2  refused: an unknown job or option, or a configuration that no run would accept
"""


class Command(RefusingCommand):
    help = "Say what makes cleanup jobs slow, unsafe or inexact in their databases. Changes nothing."
    epilog = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("jobs", nargs="*", metavar="JOB", help="Jobs or presets to look at. Default: all.")
        add("--database", metavar="ALIAS", help="Look in this database instead of each job's own.")
        add("--format", choices=["text", "json"], default="text", help="How to print what was found.")

    def handle(self, **options: Any) -> None:
        with exit_statuses():
            diagnosis = examine(options["jobs"], options["database"])
        self.stdout.write(as_json(diagnosis) if options["format"] == "json" else as_text(diagnosis))
        if diagnosis.exit_status:  # on success return normally, so that call_command() works
            sys.exit(diagnosis.exit_status)
