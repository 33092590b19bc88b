"""Start the jobs at their hours, for as long as the process lives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from session_cleanup.engine.stopping import stop_on_signals
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.management.refusals import RefusingCommand, exit_statuses
from session_cleanup.scheduling.scheduler import Scheduler

EPILOG = """
examples:
  cleanup_scheduler
  cleanup_scheduler --liveness-file /tmp/cleanup-alive
      alive: test -n "$(find /tmp/cleanup-alive -mmin -1)"

Any number of them may run: one leads, and another takes over when its lease is over. SIGTERM and SIGINT
end it once the batches under way are committed, with status 0; a second signal ends it at once.
"""


class Command(RefusingCommand):
    help = "Start the jobs at their hours, for as long as the process lives."
    epilog = EPILOG
    usage = None

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--liveness-file",
            metavar="PATH",
            help="touch this file about once a second, and remove it at the end",
        )

    def handle(self, **options: Any) -> None:
        path = options["liveness_file"] and Path(options["liveness_file"])
        with exit_statuses():
            beat = heart(path) if path else lambda: None
            try:
                with stop_on_signals() as stop:
                    Scheduler(stop, beat).run()
            finally:
                if path:
                    path.unlink(missing_ok=True)


def heart(path: Path) -> Callable[[], None]:
    """What touches the file; refuses one that cannot be touched."""
    try:
        path.touch()
    except OSError as error:
        raise ConfigurationError(f"--liveness-file {path}: {error.strerror}. Give another file.") from error
    return path.touch
