"""How our commands refuse: one clear line on standard error, and the exit status that says who is to act."""

from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from session_cleanup.engine.discretion import discreet
from session_cleanup.engine.report import sentence
from session_cleanup.exceptions import ConfigurationError, SessionCleanupError


class RefusingCommand(BaseCommand):
    """A command that says only what is wrong, with exit status 2, when it is used wrongly from a shell.

    `epilog` ends its --help, line by line as it stands; `usage` is for arguments that argparse would show
    in another order.
    """

    requires_system_checks: list[str] = []  # it asks for ours itself, so that a refusal has its exit status
    epilog: str
    usage: str | None = "%(prog)s [JOB ...] [options]"

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(
            prog_name,
            subcommand,
            usage=self.usage,
            epilog=self.epilog,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **kwargs,
        )

        def error(message: str) -> Any:
            parser.exit(2, f"CommandError: {message[:1].upper()}{message[1:]}. See --help.\n")

        if parser.called_from_command_line:
            parser.error = error  # type: ignore[method-assign]
        return parser


@contextmanager
def exit_statuses() -> Iterator[None]:
    """2 for what was refused, 1 for a database that failed; --traceback still shows the cause."""
    try:
        with discreet():
            yield
    except ConfigurationError as error:
        raise CommandError(str(error), returncode=2) from error
    except SessionCleanupError as error:
        raise CommandError(str(error), returncode=1) from error
    except (DatabaseError, InterfaceError) as error:
        raise CommandError(f"The database failed: {sentence(error)}", returncode=1) from error
