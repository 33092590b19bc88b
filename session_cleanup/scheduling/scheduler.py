"""One long-running process, or any number of replicas of it, that start the jobs at their hours.

Why it is safe: of all replicas one leads, and only the leader starts jobs (`leadership`); what is due is
asked of the leases in the database, so that nothing is forgotten when another one takes over (`agenda`). A
database that does not answer ends nothing: it is asked again, less and less often.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from django.db import DatabaseError, InterfaceError, connections, router

from session_cleanup.conf import conf
from session_cleanup.engine import runner
from session_cleanup.engine.pacing import EndState
from session_cleanup.engine.report import RunReport, RunRequest, sentence
from session_cleanup.exceptions import DatabaseUnavailable, SessionCleanupError
from session_cleanup.models import CleanupRun, JobRun
from session_cleanup.policies import registry
from session_cleanup.policies.job import Job
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.schedules import schedule_of
from session_cleanup.policies.validation import refuse_errors
from session_cleanup.scheduling.agenda import MINUTE, Agenda
from session_cleanup.scheduling.leadership import Leadership
from session_cleanup.scheduling.listening import Listener, connect_within

logger = logging.getLogger(__name__)
TICK = 0.5  # seconds between two looks at the stop flag, at most
LONGEST_WAIT = 60  # seconds between two attempts to reach a database
FAILED = (EndState.FAILED, EndState.LEASE_LOST)


class Scheduler:
    """Starts jobs until `stopped` says so; `beat` is called all the while, as a sign of life."""

    def __init__(self, stopped: Callable[[], bool], beat: Callable[[], None] = lambda: None) -> None:
        refuse_errors()
        self.stopped = stopped
        self.beat = beat
        self.jobs = registry.jobs()
        self.history = router.db_for_write(CleanupRun)
        self.agenda = Agenda(self.jobs)
        self.leadership = Leadership(self.history)
        self.listener = Listener.for_database(self.history)
        self.asked_for: list[str] = []  # by NOTIFY
        self.running: dict[str, threading.Thread] = {}  # job -> the run it is in
        self.looked_for_rest = 0.0

    def run(self) -> None:
        """Returns once the batches under way are committed."""
        connect_within()
        announce(self.jobs)
        failures = 0
        try:
            while not self.stopped():
                self.beat()
                try:
                    self.turn()
                    failures = 0
                except (DatabaseError, InterfaceError, DatabaseUnavailable) as error:
                    failures += 1
                    self.recover(error, failures)
        finally:
            self.end()

    def turn(self) -> None:
        """Start what is to be started, then wait for a moment."""
        if not self.leadership.hold():
            self.be_deaf()
            self.pause(TICK)
            return
        now = self.leadership.now
        due = self.agenda.due(now)
        self.start(due, "scheduler", now)
        self.asked_for = [name for name in self.asked_for if name not in due]
        self.start(self.what_was_left(), "resumed", now)
        asked_for = [name for name in self.asked_for if name not in self.busy()]
        self.asked_for = [name for name in self.asked_for if name not in asked_for]
        self.start(asked_for, "notify", now)
        self.listen()

    def what_was_left(self) -> list[str]:
        """Jobs that a scheduler did not finish: it was stopped meanwhile, or died."""
        if self.looked_for_rest == self.leadership.renewed_at or not conf.ENABLED:
            return []
        self.looked_for_rest = self.leadership.renewed_at
        last = JobRun.objects.using(self.history).newest(job.name for job in self.jobs)
        return list(last.unfinished().values_list("job", flat=True))

    def start(self, names: Iterable[str], trigger: str, now: datetime) -> None:
        """Start these jobs in one run, in a thread of its own, but for those that are still running.

        One that another process starts meanwhile, after `now`, is left to that one.
        """
        busy = self.busy()
        chosen = [job.name for job in self.jobs if job.name in set(names) - busy]
        if not chosen:
            return
        thread = threading.Thread(
            target=self.work, args=(chosen, trigger, now), name=f"cleanup {chosen[0]}", daemon=True
        )
        self.running |= dict.fromkeys(chosen, thread)
        thread.start()

    def busy(self) -> set[str]:
        self.running = {name: thread for name, thread in self.running.items() if thread.is_alive()}
        return set(self.running)

    def work(self, names: Sequence[str], trigger: str, now: datetime) -> None:
        """One run. Whatever happens to it, the scheduler goes on."""
        connect_within()
        try:
            request = RunRequest(jobs=tuple(names), unless_since=now, trigger=trigger)
            log(runner.run(request, stopped=self.stopped))
        except (DatabaseError, InterfaceError, DatabaseUnavailable) as error:
            logger.warning("jobs not started jobs=%s error=%s", ",".join(names), sentence(error))
            self.agenda.again(names, self.leadership.now + MINUTE)
        except SessionCleanupError as error:
            logger.error("jobs refused jobs=%s error=%s", ",".join(names), sentence(error))
        except Exception:
            logger.exception("jobs failed jobs=%s", ",".join(names))
        finally:
            connections.close_all()

    def listen(self) -> None:
        if self.listener is None:
            self.pause(TICK)
            return
        for said in self.listener.hear(TICK):
            meant = [job.name for job in registry.named(said)]
            if not meant:
                logger.warning("nothing is called so, and nothing was started name=%.100r", said)
            self.asked_for += [name for name in meant if name not in self.asked_for]

    def be_deaf(self) -> None:
        """Only the leader listens."""
        self.asked_for = []
        if self.listener is not None:
            self.listener.close()

    def recover(self, error: Exception, failures: int) -> None:
        wait = min(2**failures, LONGEST_WAIT) * random.uniform(0.5, 1)
        logger.warning("the database failed error=%s again_in=%.1f", sentence(error), wait)
        self.be_deaf()
        connections.close_all()
        self.agenda = Agenda(self.jobs)  # what it has just said may not have been started
        self.pause(wait)

    def pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.stopped():
            self.beat()
            time.sleep(min(left, TICK))

    def end(self) -> None:
        """Wait for the batches under way; the next leader need not wait for our lease to be over."""
        for thread in set(self.running.values()):
            while thread.is_alive():
                self.beat()
                thread.join(TICK)
        self.be_deaf()
        self.leadership.release()
        connections.close_all()
        logger.info("scheduler stopped")


def announce(jobs: Iterable[Job]) -> None:
    for job in jobs:
        age = job.age if isinstance(job, Policy) else None
        logger.info(
            'job scheduled job=%s cron="%s" retention_hours=%s',
            job.name,
            schedule_of(job),
            "-" if age is None else f"{age.total_seconds() / 3600:g}",
        )


def log(report: RunReport) -> None:
    """A line for each job, with the number under which the history knows it."""
    for job in report.jobs:
        level = logging.ERROR if job.end_state in FAILED else logging.INFO
        logger.log(
            level,
            "job %s job=%s run=%s end_state=%s changed=%s seconds=%.3f error=%s",
            "failed" if job.end_state in FAILED else "completed",
            job.name,
            report.run,
            job.end_state,
            job.changed,
            job.seconds,
            job.error or "-",
        )
