from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from example_project.shop import demo


class Command(BaseCommand):
    help = "Load demo data: rows that are due, rows that are not, and rows at the boundary."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reset",
            action="store_true",
            help="Remove the demo data that is there, and load it anew.",
        )

    def handle(self, **options: Any) -> None:
        if options["reset"]:
            demo.remove()
        elif demo.is_loaded():
            self.stdout.write("The demo data is there already; --reset loads it anew.")
            return
        self.stdout.write("Demo data:")
        for name, count in demo.load().items():
            self.stdout.write(f"  {count:4} {name}")
