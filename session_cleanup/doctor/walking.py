"""The very question that the walk of a job asks, and how its database answers it."""

import time
from dataclasses import dataclass
from typing import Any

from django.db import connections

from session_cleanup.conf import conf
from session_cleanup.doctor.case import Case
from session_cleanup.doctor.catalog import Plan
from session_cleanup.doctor.findings import Question
from session_cleanup.doctor.looking import FAILURES, looking
from session_cleanup.engine.connections import Trouble, trouble
from session_cleanup.engine.pacing import FIRST_ROWS
from session_cleanup.engine.walks import KeysetWalk, choose


@dataclass(frozen=True)
class Walking:
    """The walk that a run would choose, and what a step in keyset order asks.

    A walk along the heap asks that, too: for the last rows of --max-rows, and where a slice is in trouble.
    """

    name: str
    questions: tuple[Question, ...]
    plans: tuple[Plan, ...]
    by_index: tuple[Plan, ...]  # the plans that keep to an index
    in_time: bool
    seconds: float  # that the step took

    @property
    def index(self) -> str | None:
        """The index by which every statement of the walk can go; None when there is none."""
        served = self.by_index and all(plan.walks for plan in self.by_index)
        return self.by_index[-1].index if served else None

    @property
    def is_led(self) -> bool:
        """Whether the planner takes it there, as the table is now."""
        return all(plan.walks for plan in self.plans)


def walk_of(case: Case) -> str:
    """The name of the walk that a run would choose."""
    with looking(case.using):
        return (choose(case.policy, case.claims) or KeysetWalk).name


def walking(case: Case) -> Walking:
    """Take the first step of a walk in keyset order, and have what it asked explained."""
    started = time.monotonic()
    asked, in_time = _step(KeysetWalk(case.policy, case.claims), case.using)
    seconds = time.monotonic() - started
    plans = tuple(case.catalog.explain(sql, params, case.table) for sql, params in asked)
    return Walking(
        name=walk_of(case),
        questions=tuple(Question(sql, plan.lines) for (sql, _), plan in zip(asked, plans, strict=True)),
        plans=plans,
        by_index=tuple(case.catalog.explain(sql, params, case.table, by_index=True) for sql, params in asked),
        in_time=in_time,
        seconds=seconds,
    )


def _step(walk: KeysetWalk, using: str) -> tuple[list[tuple[str, Any]], bool]:
    """The statements of one step, and whether it was done in time."""
    asked: list[tuple[str, Any]] = []

    def listen(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    try:
        with looking(using), connections[using].execute_wrapper(listen):
            walk.step(conf.BATCH_SIZE or FIRST_ROWS)
    except FAILURES as error:
        if trouble(error, using) is not Trouble.TOO_SLOW:
            raise
        return asked, False
    return asked, True
