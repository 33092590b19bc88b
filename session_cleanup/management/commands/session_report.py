from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

from session_cleanup.analytics import monitoring
from session_cleanup.analytics.months import Month
from session_cleanup.analytics.report import stored_report
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.management.refusals import RefusingCommand, exit_statuses
from session_cleanup.reporting import listings
from session_cleanup.reporting.exports import FORMATS, anonymised
from session_cleanup.reporting.page import as_html
from session_cleanup.reporting.tables import SECTIONS

SHOWN = {**FORMATS, "html": as_html}
EXAMPLES = f"""
sections of a monthly report: {", ".join(SECTIONS)}
sections of recurring sessions as they stand now: {", ".join(monitoring.SECTIONS)}

examples:
  manage.py session_report                            the newest report
  manage.py session_report --month 2026-01 --section usage
  manage.py session_report --format html --anonymise > report.html
  manage.py session_report --section upcoming         recurring sessions of the next 7 days
  manage.py session_report --section series --section per-series --format json
  manage.py cleanup_sessions browser-report --dry-run   the report as it would be made now

exit status:
  0  the report was shown
  1  the database failed, or took too long
  2  refused: there is no such report, an unknown option, or options that do not go together
"""


class Command(RefusingCommand):
    help = (
        "Show a monthly report of the browser sessions, or how recurring sessions stand now. Changes nothing."
    )
    epilog = EXAMPLES
    usage = "%(prog)s [options]"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--month", metavar="YYYY-MM", help="Of which month. Default: the newest report.")
        add(
            "--section",
            action="append",
            choices=[*SECTIONS, *monitoring.SECTIONS],
            metavar="NAME",
            help="Show only this section; may be given again. Default: those of a monthly report.",
        )
        add("--format", choices=list(SHOWN), default="text", help="How to print it; charts need pygal.")
        add("--anonymise", action="store_true", help="Put pseudonyms in place of holders.")

    def handle(self, **options: Any) -> None:
        sections = options["section"] or tuple(SECTIONS)
        with exit_statuses():
            if set(sections) & set(monitoring.SECTIONS):
                _refuse(sections, options)
                shown = self._listed(sections, options["format"])
            else:
                shown = _reported(sections, options)
        self.stdout.write(shown, ending="")

    def _listed(self, sections: Sequence[str], form: str) -> str:
        now, found = monitoring.look(sections)
        if form == "csv":  # it has no place for a word of ours
            for note in filter(None, map(listings.note, found.values())):
                self.stderr.write(note)
        return listings.FORMATS[form](now, found)


def _refuse(sections: Sequence[str], options: dict[str, Any]) -> None:
    """Refuse what does not go with the sections of recurring sessions."""
    for name in sections:
        if name not in monitoring.SECTIONS:
            raise ConfigurationError(
                f"--section {name} is of a monthly report, and the others are not. Ask for it by itself."
            )
    for name, why in (
        ("month", "shows what is so now"),
        ("anonymise", "has the names of sessions and series, which it cannot hide"),
    ):
        if options[name]:
            raise ConfigurationError(f"--section {sections[0]} {why}. Leave --{name} out.")


def _reported(sections: Sequence[str], options: dict[str, Any]) -> str:
    month = None if options["month"] is None else Month.parse(options["month"])
    report = stored_report(month)
    if options["anonymise"]:
        report = anonymised(report)
    return SHOWN[options["format"]](report, sections)
