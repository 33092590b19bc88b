from typing import Any

from django.core.management.base import CommandParser

from session_cleanup.analytics.months import Month
from session_cleanup.analytics.report import stored_report
from session_cleanup.management.refusals import RefusingCommand, exit_statuses
from session_cleanup.reporting.exports import FORMATS, anonymised
from session_cleanup.reporting.page import as_html
from session_cleanup.reporting.tables import SECTIONS

SHOWN = {**FORMATS, "html": as_html}
EXAMPLES = """
examples:
  manage.py session_report                            the newest report
  manage.py session_report --month 2026-01 --section usage
  manage.py session_report --format html --anonymise > report.html
  manage.py cleanup_sessions browser-report --dry-run   the report as it would be made now

exit status:
  0  the report was shown
  1  the database failed
  2  refused: there is no such report, or an unknown option
"""


class Command(RefusingCommand):
    help = "Show a monthly report of the browser sessions. Changes nothing."
    epilog = EXAMPLES
    usage = "%(prog)s [options]"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--month", metavar="YYYY-MM", help="Of which month. Default: the newest report.")
        add(
            "--section",
            action="append",
            choices=SECTIONS,
            metavar="NAME",
            help=f"Show only this section; may be given again: {', '.join(SECTIONS)}.",
        )
        add("--format", choices=list(SHOWN), default="text", help="How to print it; html needs pygal.")
        add("--anonymise", action="store_true", help="Put pseudonyms in place of holders.")

    def handle(self, **options: Any) -> None:
        with exit_statuses():
            month = None if options["month"] is None else Month.parse(options["month"])
            report = stored_report(month)
            if options["anonymise"]:
                report = anonymised(report)
            shown = SHOWN[options["format"]](report, options["section"] or tuple(SECTIONS))
        self.stdout.write(shown, ending="")
