"""When jobs run: the scheduler, and the files that make a host run them then."""

from session_cleanup.scheduling.in_process import start_in_process, stop

__all__ = ["start_in_process", "stop"]
