"""What is wrong with the configuration, found without a database.

The system checks report all of it at start-up; a run refuses to start while there is an error.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import FieldDoesNotExist, FieldError, ValidationError
from django.db import connections
from django.db.models import DateField, Model, UniqueConstraint

from session_cleanup.conf import PREFIX, SETTINGS, conf
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies import registry
from session_cleanup.policies.actions import Update, Values, is_constant, related_by
from session_cleanup.policies.claims import Claims, concrete
from session_cleanup.policies.conditions import column, facts, falsifies
from session_cleanup.policies.policy import GROUPS, Policy, cron_problem
from session_cleanup.policies.presets import PRESETS
from session_cleanup.policies.registry import did_you_mean
from session_cleanup.policies.selections import Aged

ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `id` such as "E001" (an error) or "W001" (a warning)."""

    id: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"


def refuse_errors() -> None:
    """Raise ConfigurationError for the first error there is."""
    for problem in problems():
        if problem.id.startswith("E"):
            raise ConfigurationError(str(problem))


def problems() -> Iterator[Problem]:
    """Everything that is wrong; where one thing hides others, only that thing."""
    found = list(_settings())
    yield from found
    if found:
        return
    for module, error in registry.failures.items():
        yield Problem(
            "E004",
            f"{module} could not be imported ({type(error).__name__}: {error}), so no job runs.",
            "Mend that module.",
        )
    policies = registry.declared()
    for message in registry.naming_problems(policies):
        yield Problem("E005", message, "Job, preset and group names share one namespace.")
    yield from _schedules(policies)
    for policy in policies:
        yield from of_policy(policy)


def _settings() -> Iterator[Problem]:
    known = {setting.name: setting for setting in SETTINGS.values()}
    for name in dir(django_settings):
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            yield Problem(
                "E002", f"There is no setting {name}.{did_you_mean(name, known)}", "Correct or remove it."
            )
        elif problem := known[name].problem(getattr(django_settings, name)):
            yield Problem("E001", problem, "Correct it, or remove it to take the default.")
            return
    for name in conf.PRESETS:
        if name not in PRESETS:
            yield Problem(
                "E003",
                f"SESSION_CLEANUP_PRESETS names {name!r}, which is no preset.{did_you_mean(name, PRESETS)}",
                f"The presets are {', '.join(PRESETS)}.",
            )
    if conf.STATEMENT_TIMEOUT_MS > conf.LEASE_SECONDS * 1000:
        yield Problem(
            "E001",
            f"SESSION_CLEANUP_STATEMENT_TIMEOUT_MS is {conf.STATEMENT_TIMEOUT_MS}, longer than "
            f"SESSION_CLEANUP_LEASE_SECONDS ({conf.LEASE_SECONDS}): a statement could outlast the lease.",
            "Lower the one, or raise the other.",
        )
    if conf.PAUSE_MS * 3 > conf.LEASE_SECONDS * 1000:
        yield Problem(
            "E001",
            f"SESSION_CLEANUP_PAUSE_MS is {conf.PAUSE_MS}, more than a third of "
            f"SESSION_CLEANUP_LEASE_SECONDS ({conf.LEASE_SECONDS}): a run could lose its lease in a pause.",
            "Pause less, or raise the lease.",
        )


def _schedules(policies: Iterable[Policy]) -> Iterator[Problem]:
    known = [*GROUPS, *(policy.name for policy in policies)]
    for name, cron in conf.SCHEDULES.items():
        if name not in known:
            yield Problem(
                "E006",
                f"SESSION_CLEANUP_SCHEDULES names {name!r}, which is neither a job nor a group."
                f"{did_you_mean(name, known)}",
                "See cleanup_sessions --list.",
            )
        if problem := cron_problem(cron):
            yield Problem("E006", f"SESSION_CLEANUP_SCHEDULES[{name!r}]: {problem}", "Times are UTC.")


def of_policy(policy: Policy) -> Iterator[Problem]:
    """What is wrong with one policy and the model it names."""
    who = f"Policy {policy.name!r}"
    try:
        model = policy.get_model()
    except LookupError:
        labels = [each._meta.label for each in apps.get_models()]
        guess = did_you_mean(policy.model, labels)
        yield Problem(
            "E007",
            f"{who} names the model {policy.model!r}, which is not installed.{guess}",
            'Write "app.Model".',
        )
        return
    if parents := concrete(model)._meta.parents:
        parent = next(iter(parents))._meta.label
        yield Problem(
            "E008",
            f"{who}: {policy.model} inherits from the table of {parent}, so one of its rows is two rows that "
            "no single lock covers.",
            f"Write the policy for {parent}; a delete takes the child's row along.",
        )
        return
    if policy.database is not None and policy.database not in connections:
        yield Problem(
            "E009",
            f"{who} names the database {policy.database!r}.{did_you_mean(policy.database, connections)}",
            f"DATABASES has {', '.join(connections)}.",
        )
        return
    errors = list(_fields(policy, model, who))
    yield from errors
    if errors:
        return
    if isinstance(policy.action, Update) and not falsifies(policy.action, policy.where, policy.select, model):
        yield Problem(
            "E012",
            f"{who}: what it writes does not make its own condition false, so each run would change the same "
            "rows again.",
            "Add what it writes to `where`, such as where=Q(is_active=True) for Deactivate().",
        )
    if not served_by_index(policy, model):
        yield Problem(
            "W001",
            f"{who}: no index of {policy.model} leads to {policy.select.column!r}, so each run reads it all.",
            f"Add models.Index(fields={_wanted_index(policy, model)!r}, name=…) to the model and migrate.",
        )


def _fields(policy: Policy, model: type[Model], who: str) -> Iterator[Problem]:
    try:
        column = model._meta.get_field(policy.select.column)
        if isinstance(policy.select, Aged) and not isinstance(column, DateField):
            yield Problem(
                "E011",
                f"{who}: the clock {policy.select.clock!r} of {policy.model} is a "
                f"{type(column).__name__}, which is no date or time.",
                "Name a DateTimeField or a DateField.",
            )
            return
        claims = Claims(policy.get_database(), ANY_TIME)
        str(policy.matching(claims).values("pk", *policy.columns).query.where)
        if isinstance(policy.action, Update):
            _check_values(policy.action.values, model)
            targets = []
            for name, values in policy.action.related.items():
                targets.append(related_by(model, name).related_model)
                _check_values(values, targets[-1])
            if len(targets) != len(set(targets)):
                raise ConfigurationError("two of its relations lead to the same model; keep one")
    except (FieldError, FieldDoesNotExist, LookupError, ValueError, TypeError, ValidationError) as error:
        yield Problem("E010", f"{who} does not fit {policy.model}: {error}", "Correct the field or relation.")
    except ConfigurationError as error:
        yield Problem("E010", f"{who}: {error}", "Correct the field or relation.")


def _check_values(values: Values, model: type[Model]) -> None:
    for name, value in values.items():
        field: Any = model._meta.get_field(name)
        if not field.concrete or field.primary_key or field.many_to_many:
            raise FieldError(f"{model._meta.label}.{name} is no column that can be set.")
        if is_constant(value):
            if value is None and not field.null:
                raise FieldError(f"{model._meta.label}.{name} cannot be None.")
            if value is not None:
                field.to_python(value)
        elif hasattr(value, "name"):
            model._meta.get_field(value.name)


def _fixed(policy: Policy, model: type[Model]) -> list[str]:
    """Columns that the condition fixes to one value, so that an index may begin with them."""
    found = [name for name, lookup, _ in facts(policy.where, model) if lookup in ("exact", "isnull")]
    return [column(name, model).name for name in found]


def _wanted_index(policy: Policy, model: type[Model]) -> list[str]:
    """The fields of an index in whose order a run walks: fixed columns, the clock, the primary key."""
    walked = column(policy.select.column, model).name
    return list(dict.fromkeys([*_fixed(policy, model), walked, model._meta.pk.name]))


def served_by_index(policy: Policy, model: type[Model]) -> bool:
    """Whether some declared index leads to the column of the walk, after columns that are fixed."""
    meta = model._meta
    walked = column(policy.select.column, model)
    if walked.primary_key or walked.unique or walked.db_index:
        return True
    fixed = set(_fixed(policy, model)) - {walked.name}
    indexes = [index.fields for index in meta.indexes] + [list(names) for names in meta.unique_together]
    indexes += [list(each.fields) for each in meta.constraints if isinstance(each, UniqueConstraint)]
    for fields in indexes:
        names = [column(name.lstrip("-"), model).name for name in fields]
        if next((name for name in names if name not in fixed), None) == walked.name:
            return True
    return False
