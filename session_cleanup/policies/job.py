"""A job: anything that a run can do by name. Most are policies; a routine is one that is not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.apps import apps
from django.db import router
from django.db.models import Model


class Job(Protocol):
    """What every job has: a Policy, and a Routine. The attributes are those of Policy."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def cron(self) -> str | None: ...
    @property
    def preset(self) -> str | None: ...
    @property
    def verb(self) -> str: ...
    @property
    def log_counter(self) -> str: ...
    def get_model(self) -> type[Model]: ...
    def get_database(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Routine:
    """A job that is no policy.

    model   "app.Model" that it writes; its lease lives in the same database
    verb    what it does to them, such as "stored"
    work    the dotted path of its `engine.routines.Work`, imported late: it may live in any room
    options the options of a run that it takes, as its work is given them: "days_ahead"
    given   what a run gave for these
    """

    name: str
    model: str
    verb: str
    work: str
    group: str = "daily"
    cron: str | None = None
    preset: str | None = None
    options: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def log_counter(self) -> str:
        return f"{self.name.replace('-', '_')}_{self.verb}"

    def get_model(self) -> type[Model]:
        return apps.get_model(self.model)

    def get_database(self) -> str:
        return router.db_for_write(self.get_model())
