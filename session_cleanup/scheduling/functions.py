"""Jobs as functions of PostgreSQL, which pg_cron calls where no process of ours runs.

Nothing is said here a second time: which rows are due and what happens to them, the lease and the history are
what the policy, its action, engine.leases and the models say to a connection to nowhere.

Why it is safe to let this change data: a call is one batch, as in engine.batches, and one transaction. It
takes the lease, or changes nothing; it locks what is due and passes over what others have locked; under the
locks it judges again, in a statement of its own, and acts on the keys of what is still due. What it did is
written down with it. When a statement fails, all is undone but the record of that.
"""

from collections.abc import Iterable
from typing import Any

from django.db import router
from django.db.models import Count, F, QuerySet
from django.db.models.functions import Now

from session_cleanup.engine.footprint import judged
from session_cleanup.engine.leases import OVER, Lease
from session_cleanup.engine.pacing import MOST_ROWS
from session_cleanup.engine.refusal import LOCKED
from session_cleanup.engine.report import JobReport, RunReport
from session_cleanup.engine.sql import Sql, inserting, selecting, updating
from session_cleanup.models import CleanupLease, CleanupRun, JobRun
from session_cleanup.models.history import as_stored
from session_cleanup.policies.actions import Rows, Update
from session_cleanup.policies.claims import KEYS, AmongKeys, Claims, concrete
from session_cleanup.policies.job import Job
from session_cleanup.policies.policy import Policy
from session_cleanup.scheduling.nowhere import CLOCK, NOWHERE, listening, text, variable
from session_cleanup.scheduling.rendering import fill

NAMES = {
    "recurring-activate": "activate_scheduled_sessions",
    "recurring-close": "auto_close_expired_sessions",
}
EndState = JobRun.EndState
ENDS = (EndState.DRAINED, EndState.DRAINED_WITH_SKIPS, EndState.CAPPED, EndState.BUSY, EndState.FAILED)


def functions(jobs: Iterable[Job]) -> dict[str, str]:
    """By job the SQL that makes its function; only of jobs whose history is where their rows are."""
    history = router.db_for_write(CleanupRun)
    return {
        job.name: function(job)
        for job in jobs
        if job.name in NAMES and isinstance(job, Policy) and job.get_database() == history
    }


def function(policy: Policy) -> str:
    with listening() as heard:
        statements = {**_questions(policy), **_of_the_lease(policy, heard), **_of_the_history(policy)}
    deeds, sums = _deeds(policy)
    changed = sums.pop("changed")
    values = {
        "job": policy.name,
        "name": NAMES[policy.name],
        "most": MOST_ROWS,
        "locked": LOCKED,
        "deeds": [(text(deed), deed[0].startswith("SELECT")) for deed in deeds],
        "changed": changed,
        "figures": sums,
    }
    return fill("function.sql", values | {name: text(each) for name, each in statements.items()})


def _questions(policy: Policy) -> dict[str, Sql]:
    rows = judged(policy, Claims(NOWHERE, CLOCK), part=True)
    due = rows.filter(verdict="")
    oldest = due.order_by(*policy.select.columns, "pk").select_for_update(skip_locked=True, no_key=True)
    verdicts = rows.order_by().values("verdict").annotate(number=Count("pk"))
    return {
        "lock": selecting(oldest.values_list("pk")),
        "judge": selecting(due.filter(_by_key()).order_by("pk").values_list("pk")),
        "left": selecting(verdicts.values_list("verdict", "number")),
    }


def _deeds(policy: Policy) -> tuple[list[Sql], dict[str, str]]:
    """The statements of the action; and what is counted, as a sum over the rows that each of them met.

    To learn in which counts a statement has a part, the action is told that it met one row, the others none.
    """

    def told(hit: int | None) -> tuple[list[Sql], dict[str, int]]:
        assert isinstance(policy.action, Update)
        with listening(hit) as heard:
            rows: Rows = QuerySet(concrete(policy.get_model()), using=NOWHERE).filter(_by_key())
            effect = policy.action.apply(rows, Claims(NOWHERE, CLOCK))
        assert not effect.related
        return heard, {"changed": effect.changed, **effect.figures}

    deeds, counts = told(None)
    sums = dict.fromkeys(counts, "0")
    for number in range(len(deeds)):
        again, counts = told(number)
        assert again == deeds, "what an action does may not depend on what it met"
        for name, count in counts.items():
            if count:
                sums[name] += f" {'-' if count < 0 else '+'} {abs(count)} * met_{number}"
    return deeds, sums


def _by_key() -> AmongKeys:
    return AmongKeys(F("pk"), KEYS)


def _of_the_lease(policy: Policy, heard: list[Sql]) -> dict[str, Sql]:
    token = variable("its_token")
    lease = Lease(policy.name, NOWHERE, token)
    row = CleanupLease.objects.using(NOWHERE).filter(job=policy.name)
    new = CleanupLease(job=policy.name, token=token, since=OVER, expires_at=OVER)
    lease.take_if_free(variable("its_run"), holder=variable("'PostgreSQL (pid ' || pg_backend_pid() || ')'"))
    lease.release()
    taking, releasing = heard
    return {
        "lease": selecting(row.values("job")),
        "lock_lease": selecting(row.select_for_update(skip_locked=True, no_key=True).values("job")),
        "make_lease": inserting(new, NOWHERE),
        "take_lease": taking,
        "release_lease": releasing,
    }


def _of_the_history(policy: Policy) -> dict[str, Sql]:
    asked = f"jsonb_build_object('jobs', jsonb_build_array('{policy.name}'), 'max_rows', most)"
    run = CleanupRun(
        trigger="sql",
        actor=variable("session_user"),
        host="PostgreSQL",
        pid=variable("pg_backend_pid()"),
        options=variable(asked),
        started_at=as_stored(CLOCK),
    )
    cutoff = policy.select.cutoff(CLOCK)
    record = JobRun(
        run_id=variable("its_run"),
        job=policy.name,
        model=policy.get_model()._meta.label,
        database=policy.get_database(),
        action=policy.action.name,
        cutoff=cutoff and as_stored(cutoff),
        heartbeat_at=Now(),
    )
    names = ("end_state", "changed", "batches", "figures", "skipped", "error")
    values = {name: variable(f"its_{name}") for name in names}
    values["seconds"] = variable("extract(epoch FROM clock_timestamp() - statement_timestamp())")
    outcome = {"status": _outcome("status"), "exit_status": _outcome("exit_status")}
    outcome["finished_at"] = variable("clock_timestamp()")
    return {
        "begin_run": inserting(run, NOWHERE),
        "begin_job": inserting(record, NOWHERE),
        "end_job": updating(JobRun.objects.using(NOWHERE).filter(pk=variable("its_record")), values),
        "end_run": updating(CleanupRun.objects.using(NOWHERE).filter(pk=variable("its_run")), outcome),
    }


def _outcome(name: str) -> Any:
    """What a run says whose only job has ended so."""
    cases = []
    for end in ENDS:
        job = JobReport(name="", model="", database="", group="", action=None, end_state=end)
        run = RunReport(run=None, dry_run=False, started_at=CLOCK, finished_at=CLOCK, jobs=[job])
        cases.append(f"WHEN '{end}' THEN {getattr(run, name)!r}")
    return variable(f"CASE its_end_state {' '.join(cases)} END")
