"""A policy: which rows are due, and what happens to them. Data, and it cannot be built wrong."""

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from django.apps import apps
from django.db import router
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.utils import timezone

from session_cleanup.conf import conf
from session_cleanup.exceptions import ConfigurationError, PolicyError
from session_cleanup.policies.actions import RETENTION, Action, Archive, is_retention
from session_cleanup.policies.claims import Claims
from session_cleanup.policies.conditions import foreign_reads
from session_cleanup.policies.cron import next_times
from session_cleanup.policies.selections import Aged, Selection

# Each group and when its jobs run (UTC) unless they or SESSION_CLEANUP_SCHEDULES say otherwise.
GROUPS = {
    "frequent": "*/5 * * * *",
    "hourly": "0 * * * *",
    "daily": "0 2 * * *",
    "weekly": "0 3 * * 0",
    "monthly": "0 4 1 * *",
}
AgeOption = Literal["max-age", "days"]
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One job: the rows of `model` that meet `where` and `select` are due, and `action` is done to them.

    name         what the job is called everywhere: small letters, digits and hyphens, at most 64
    model        "app.Model", resolved late
    group        frequent, hourly, daily, weekly or monthly: what `--type` selects
    cron         a cron expression (UTC) of its own, instead of its group's
    age_option   the option that replaces `select.older_than` for one run: "max-age" (hours) or "days"
    columns      what a verbose listing shows beside the key and the clock
    by_age       whether the statistics show how old the rows are that meet `where`
    counter      the name of its count in the log line of a run; "carts_deleted" for a job "carts"
    database     the alias; None: where the routers write the model
    preset       the shipped system it belongs to
    undo         how long what it deletes or changes can be taken back; None: not at all
    secret       columns that no undo record or archive shows: of `model`, or as "app.Model.column" of a
                 model whose rows go along. A model names its own in `cleanup_secret`
    """

    name: str
    model: str
    select: Selection
    action: Action
    where: Q = field(default_factory=Q)
    group: str = "daily"
    cron: str | None = None
    age_option: AgeOption | None = None
    columns: tuple[str, ...] = ()
    by_age: bool = False
    counter: str = ""
    database: str | None = None
    preset: str | None = None
    undo: timedelta | None = None
    secret: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise PolicyError(f"Policy {self.name!r}: {problem}")

    def _problems(self) -> Any:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name) or len(self.name) > 64:
            yield "a name is made of small letters, digits and hyphens, at most 64, such as 'old-carts'."
        if not isinstance(self.model, str) or self.model.count(".") != 1:
            yield f'model is {self.model!r}. Name it by its label, "app.Model".'
        if not isinstance(self.select, Selection):
            yield f"select is {self.select!r}. Give a selection, such as Aged('updated_at')."
        if not isinstance(self.action, Action):
            yield f"action is {self.action!r}. Give an action, such as Delete()."
        if not isinstance(self.where, Q):
            yield f"where is {self.where!r}. Give a Q object, such as Q(is_active=True)."
        if not isinstance(self.group, str) or self.group not in GROUPS:
            yield f"group is {self.group!r}. Choose one of {', '.join(GROUPS)}."
        for name in ("cron", "database", "preset"):
            if not isinstance(getattr(self, name), str | None):
                yield f"{name} is {getattr(self, name)!r}. Give a text, or leave it out."
        if isinstance(self.cron, str) and (problem := cron_problem(self.cron)):
            yield problem
        if not isinstance(self.counter, str) or not isinstance(self.by_age, bool):
            yield f"counter is {self.counter!r}, by_age {self.by_age!r}. Give a text, and True or False."
        if not isinstance(self.columns, tuple) or not all(isinstance(name, str) for name in self.columns):
            yield f"columns is {self.columns!r}. Give a tuple of names, such as ('title',)."
        if self.age_option not in (None, "max-age", "days"):
            yield f"age_option is {self.age_option!r}. Choose 'max-age' (hours) or 'days'."
        yield from self._undo_problems()
        if (self.age_option or self.by_age) and not isinstance(self.select, Aged):
            yield "age_option and by_age need select=Aged(…), which has an age."

    def _undo_problems(self) -> Any:
        if self.undo is not None and not is_retention(self.undo):
            yield f"undo is {self.undo!r}. Give {RETENTION}, or None for no undo."
        if self.undo is not None and not self.action.can_be_undone:
            yield f"undo is given, but {self.action!r} cannot be taken back by it. Leave `undo` out."
        if not isinstance(self.secret, tuple) or not all(isinstance(name, str) for name in self.secret):
            yield f"secret is {self.secret!r}. Give a tuple of names, such as ('payload',)."

    @property
    def is_kept(self) -> bool:
        """Whether its runs write undo records."""
        return self.undo is not None or (isinstance(self.action, Archive) and self.action.to == "undo")

    @property
    def keep(self) -> timedelta | None:
        """How long those are kept; None: for ever."""
        return self.action.keep if isinstance(self.action, Archive) else self.undo

    @property
    def verb(self) -> str:
        return self.action.verb

    @property
    def log_counter(self) -> str:
        return self.counter or f"{self.name.replace('-', '_')}_{self.verb}"

    def get_model(self) -> type[Model]:
        return apps.get_model(self.model)

    def get_database(self) -> str:
        return self.database or router.db_for_write(self.get_model())

    def aged(self, older_than: timedelta) -> "Policy":
        """This policy with another age."""
        assert isinstance(self.select, Aged)
        return replace(self, select=replace(self.select, older_than=older_than))

    @property
    def age(self) -> timedelta | None:
        return self.select.older_than if isinstance(self.select, Aged) else None

    @property
    def clock(self) -> str | None:
        """The path of the time that decides, if one does."""
        return self.select.clock if isinstance(self.select, Aged) else None

    def matching(self, claims: Claims, *, part: Q | None = None) -> QuerySet[Any]:
        """The rows that are due but for holds and protection; each once, and only columns of its own.

        Of an Invalid those that have to be looked into. `part` as in Selection.narrow.
        """
        return self.select.narrow(self.met(claims), claims, claims.now, part=part)

    def met(self, claims: Claims) -> QuerySet[Any]:
        """The candidates that meet `where`."""
        model = self.get_model()
        rows = claims.candidates(model)
        if foreign_reads(self.where, model):  # a join could give a row twice, and be locked with it
            met = model._base_manager.using(claims.using).filter(self.where, pk=OuterRef("pk"))
            rows = rows.filter(Exists(met))
        else:
            rows = rows.filter(self.where)
        return rows.filter(self.action.condition())


def kept_for() -> timedelta | None:
    """What SESSION_CLEANUP_UNDO_DAYS says as the `undo` of a policy."""
    return timedelta(days=conf.UNDO_DAYS) if conf.UNDO_DAYS else None


def cron_problem(expression: str) -> str | None:
    """What is wrong with a cron expression, as a sentence, or None."""
    try:
        if next_times(expression, timezone.now(), 1):
            return None
    except ConfigurationError as error:
        return str(error)
    return f"the cron expression {expression!r} never comes true. Give one that does."
