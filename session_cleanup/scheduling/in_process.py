"""The scheduler inside a server process, in a thread of its own: the server neither waits nor ends for it.

Call `start_in_process()` where the server starts: in wsgi.py or asgi.py, or in its own hook for that. Any
number of processes may call it, since one of all schedulers leads.
"""

import atexit
import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from django.apps import apps

from session_cleanup.engine.stopping import SIGNALS
from session_cleanup.exceptions import ConfigurationError

logger = logging.getLogger(__name__)
PATIENCE = 30  # seconds to wait for the batches under way


@dataclass
class _Running:
    """The scheduler of the process `pid`: a child that is forked later has none."""

    asked: threading.Event
    thread: threading.Thread
    pid: int = field(default_factory=os.getpid)

    @property
    def goes_on(self) -> bool:
        return self.pid == os.getpid() and self.thread.is_alive() and not self.asked.is_set()


_lock = threading.RLock()  # a signal handler may come in between
_running: _Running | None = None


def start_in_process() -> None:
    """Start the scheduler in a thread, if this process has none yet, and return at once.

    It begins by connecting to the database, for 10 s at most; then it says in the log that it could not,
    and tries again, less and less often. SIGTERM and SIGINT end it before they do what they did before.
    """
    global _running
    if not apps.ready:
        raise ConfigurationError(
            "start_in_process() was called before Django was ready, as AppConfig.ready() is: then every "
            "command would start it too. Call it in wsgi.py or asgi.py, after get_wsgi_application()."
        )
    from session_cleanup.scheduling.scheduler import Scheduler

    with _lock:
        if _running and _running.goes_on:
            return
        asked = threading.Event()
        scheduler = Scheduler(asked.is_set)
        thread = threading.Thread(target=_work, args=(scheduler.run,), name="cleanup", daemon=True)
        _running = _Running(asked, thread)
        thread.start()
        _end_on_signals()
        atexit.unregister(stop)
        atexit.register(stop)


def stop(timeout: float = PATIENCE) -> None:
    """End it once the batches under way are committed; waits for that, so many seconds at most."""
    global _running
    with _lock:
        ending, _running = _running, None
    if ending is not None and ending.pid == os.getpid():
        ending.asked.set()
        ending.thread.join(timeout)


def _work(run: Callable[[], None]) -> None:
    try:
        run()
    except Exception:  # the server goes on without it
        logger.exception("the scheduler ended")


def _end_on_signals() -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # the end of the process ends it
    for number in SIGNALS:
        before = signal.getsignal(number)
        if not isinstance(before, _Ending):
            signal.signal(number, _Ending(before))


class _Ending:
    """A signal handler that ends the scheduler, then does what was done before. Twice is as good as once."""

    def __init__(self, before: Any) -> None:
        self.before = before
        self.ending: threading.Thread | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.ending is not None and self.ending.is_alive():
            return
        if _running is not None:
            self.ending = _running.thread
        if callable(self.before):  # the server's own: it will end when it thinks fit, and atexit waits for us
            if _running is not None:
                _running.asked.set()
            self.before(number, frame)
        elif self.before is signal.SIG_DFL:
            stop()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
