"""What processes do to series at the same time. Each says what it has done, by name."""

import time
from collections import Counter
from datetime import time as clock

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import Session, SessionSeries
from session_cleanup.policies.job import Routine
from session_cleanup.recurrence import single
from session_cleanup.recurrence.edits import Edit
from tests.factories import DAY, HOUR, NOW

LONGEST = 5.0  # seconds that a change may take, with its wait for others
RULES = ("FREQ=DAILY", "FREQ=DAILY;INTERVAL=2", "FREQ=WEEKLY;BYDAY=MO,WE,FR")


def generate(chance, times):
    """A day further ahead each time, under a lease that nobody else has: as if it were not there."""
    job = Routine(
        name=f"generate-{chance.randrange(10**9)}",
        model="session_cleanup.Session",
        verb="generated",
        work="session_cleanup.recurrence.generation.Generate",
    )
    done, created = Counter(), Counter()
    for number in range(times):
        [report] = runner.run(RunRequest(batch_size=7), now=NOW + number * DAY, policies=[job]).jobs
        assert report.error is None, report.error
        done["sessions"] += report.changed
        done["members"] += report.related.get("session_cleanup.SessionMember", 0)
        created.update({each["uid"]: each["created"] for each in report.product["series"]})
    return {**done, "series": created}


def activate(chance, times):
    return hours("recurring-activate", times)


def close(chance, times):
    return hours("recurring-close", times)


def go_on(chance, times):
    return hours("recurring-generate", times)


def hours(job, times):
    """A job of the preset, hour after hour."""
    done = Counter()
    for number in range(times):
        [report] = runner.run(RunRequest(jobs=(job,)), now=NOW + number * HOUR).jobs
        assert report.error is None, report.error
        done.update(report.figures)
    return done


def rename(chance, times):
    """Changes of all that is to come that leave its times alone."""
    return edits(chance, times, lambda number: {"name": f"name {number}"})


def move(chance, times):
    """Changes of times, of all that is to come and of one session and all that follow."""
    return edits(
        chance,
        times,
        lambda number: {"start_time": clock(number % 24, 1 + number % 59), "rule": chance.choice(RULES)},
        splits=0.3,
    )


def edits(chance, times, changes, splits=0.0):
    done, last = Counter(), {}
    for number in range(times):
        series = chance.choice(SessionSeries.objects.order_by("pk"))
        some = list(series.sessions.order_by("occurrence")[1:])
        following = chance.choice(some) if some and chance.random() < splits else None
        began = time.monotonic()
        try:
            Edit(series, changes(number), following).apply(now=NOW)
        except ConfigurationError:  # it follows in another series by now, or is no more
            done["refused"] += 1
        else:
            done["all" if following is None else "following"] += 1
            if following is None:
                last[str(series.uid)] = number
        assert time.monotonic() - began < LONGEST
    return {**done, "last": last}


def change_one(chance, times):
    """Sessions are changed by themselves, or called off."""
    done = Counter()
    for _ in range(times):
        session = chance.choice(Session.objects.filter(starts_at__gt=NOW).order_by("pk")[:100] or [None])
        try:
            if session is not None and chance.random() < 0.5:
                single.change(session, title="special", now=NOW)
            elif session is not None:
                single.cancel(session, now=NOW)
        except ConfigurationError:
            done["refused"] += 1
        else:
            done["changed"] += session is not None
        time.sleep(0.02)
    return done


ROLES = {each.__name__: each for each in (generate, activate, close, go_on, rename, move, change_one)}
