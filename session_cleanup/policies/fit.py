"""Whether a policy fits the model that it names, found without a database."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist, FieldError, ValidationError
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import (
    CharField,
    DateField,
    IntegerField,
    Model,
    QuerySet,
    TextField,
    UUIDField,
)
from django.db.models.sql import Query

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import Claim, CleanupLease, PackingDictionary
from session_cleanup.models.history import has_text_key, plain
from session_cleanup.packing.codecs import missing
from session_cleanup.packing.fields import PackedJSONField
from session_cleanup.policies.actions import (
    ARCHIVE,
    Archive,
    Delete,
    RunClock,
    Update,
    Values,
    is_constant,
    related_by,
)
from session_cleanup.policies.claims import Claims, concrete
from session_cleanup.policies.conditions import column, falsifies, foreign_reads, json_read, paths
from session_cleanup.policies.indexes import as_code, goal, served_by_index, wanted_index
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.presets import LIBRARIES
from session_cleanup.policies.registry import did_you_mean
from session_cleanup.policies.rewrites import Compress, Rewrite
from session_cleanup.policies.secrets import secret_problems
from session_cleanup.policies.selections import Aged, Orphaned

ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `id` such as "E001" (an error) or "W001" (a warning)."""

    id: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"


def of_policy(policy: Policy) -> Iterator[Problem]:
    """What is wrong with one policy and the model it names; where one thing hides others, only that."""
    for look in (_shape, _base_manager, _fields, _databases, _keeping):
        found = list(look(policy))
        yield from found
        if found:
            return
    model = policy.get_model()
    if isinstance(policy.action, Update) and not falsifies(policy.action, policy.where, policy.select, model):
        yield Problem(
            "E012",
            f"Policy {policy.name!r}: what it writes does not make its own condition false, so each run "
            "would change the same rows again.",
            "Add what it writes to `where`, such as where=Q(is_active=True) for Deactivate().",
        )
    if not served_by_index(policy, model):
        yield _no_index(policy, model)
    yield from _packing(policy, model)


def _packing(policy: Policy, model: type[Model]) -> Iterator[Problem]:
    who = f"Policy {policy.name!r}"
    if isinstance(policy.action, Compress) and (why := missing(policy.action.codec)):
        yield Problem("E016", f"{who} cannot pack anything here: {why}", "Or take the codec 'zlib'.")
    for path in dict.fromkeys(paths(policy.where)):
        field = path and json_read(path, model)
        if isinstance(field, PackedJSONField):
            yield Problem(
                "W006",
                f"{who}: its condition {path!r} looks into {field.model._meta.label}.{field.name}, whose "
                "rows may be packed; in those it finds nothing.",
                "Keep what decides in a column of its own.",
            )


def _no_index(policy: Policy, model: type[Model]) -> Problem:
    """W001; W005 for the model of a library, which cannot tell of an index that a project gives it."""
    said = (
        f"Policy {policy.name!r}: no index of {policy.model} leads to {goal(policy)}, so each run reads it "
        "all."
    )
    if policy.preset not in LIBRARIES:
        return Problem("W001", said, f"Add {as_code(wanted_index(policy, model))} to the model and migrate.")
    return Problem(
        "W005",
        said,
        f"If the table is large, put the migration into an app of yours that `cleanup_doctor {policy.name}` "
        "prints. Then silence session_cleanup.W005.",
    )


def _shape(policy: Policy) -> Iterator[Problem]:
    """Models that no run can work on."""
    who = f"Policy {policy.name!r}"
    try:
        model = policy.get_model()
    except LookupError:
        guess = did_you_mean(policy.model, [each._meta.label for each in apps.get_models()])
        yield Problem(
            "E007",
            f"{who} names the model {policy.model!r}, which is not installed.{guess}",
            'Write "app.Model".',
        )
        return
    if model in (CleanupLease, Claim, PackingDictionary):
        yield Problem(
            "E008",
            f"{who}: {policy.model} is what the run itself works with.",
            "Leave that table to the runs.",
        )
    elif parents := concrete(model)._meta.parents:
        parent = next(iter(parents))._meta.label
        yield Problem(
            "E008",
            f"{who}: {policy.model} inherits from the table of {parent}, so one of its rows is two rows that "
            "no single lock covers.",
            f"Write the policy for {parent}; a delete takes the child's row along.",
        )
    elif not has_text_key(model):
        yield Problem(
            "E014",
            f"{who}: the primary key of {policy.model} is a {type(plain(model._meta.pk)).__name__}, by which "
            "neither a hold nor a run can name a row.",
            "Policies need a key that is a number, a text or a UUID.",
        )


def _databases(policy: Policy) -> Iterator[Problem]:
    if policy.database is not None and policy.database not in connections:
        guess = did_you_mean(policy.database, connections)
        yield Problem(
            "E009",
            f"Policy {policy.name!r} names the database {policy.database!r}.{guess}",
            f"DATABASES has {', '.join(connections)}.",
        )
        return
    for message in strangers(policy, policy.get_database()):
        yield Problem("E009", message, "A router must say where it lives.")


def _keeping(policy: Policy) -> Iterator[Problem]:
    """Secrets that are none, and archives that lead nowhere."""
    who = f"Policy {policy.name!r}"
    for problem in secret_problems(policy):
        yield Problem("E022", f"{who}: secret names what cannot be one: {problem}", "Correct `secret`.")
    to_storage = isinstance(policy.action, Archive) and policy.action.to == "storage"
    if to_storage and ARCHIVE not in settings.STORAGES:
        yield Problem(
            "E023",
            f"{who} archives to the storage {ARCHIVE!r}, which STORAGES does not have.",
            "Add it, such as one of django-storages; a bucket that nobody can read but you.",
        )


def _base_manager(policy: Policy) -> Iterator[Problem]:
    who, model = f"Policy {policy.name!r}", policy.get_model()
    rows = model._base_manager.all()
    if rows.query.annotations:
        yield Problem(
            "E010",
            f"{who}: the base manager of {policy.model} annotates its rows, so they cannot be counted.",
            "Annotate in the default manager, and leave the base manager plain.",
        )
    elif isinstance(policy.action, Delete) and type(rows).delete is not QuerySet.delete:
        yield Problem(
            "E010",
            f"{who}: the base manager of {policy.model} has a delete() of its own, which a run would miss.",
            "Say what it does as an Update.",
        )


def strangers(policy: Policy, using: str) -> Iterator[str]:
    """Models that decide what is due but live in another database, where `using` has empty tables."""
    model = policy.get_model()
    others = {each for each in foreign_reads(policy.where, model) if each}
    others |= policy.select.asks(model).keys()
    others = {concrete(each) for each in others} - {concrete(model)}
    for other in sorted(others, key=lambda each: each._meta.label):
        home = router.db_for_write(other)
        if home != using:
            yield (
                f"Policy {policy.name!r} would run in the database {using!r}, but {other._meta.label}, which "
                f"decides what is due, lives in {home!r}."
            )


def _check_reference(select: Orphaned, model: type[Model]) -> None:
    """A key of another kind matches nothing, and every row would be an orphan."""
    target, key, name = select.target(model)
    ours, theirs = plain(column(name, model)), plain(column(key, target))
    kinds = (IntegerField, UUIDField, (CharField, TextField))
    if select.as_text and isinstance(ours, kinds[2]) and isinstance(theirs, (IntegerField, UUIDField)):
        return
    same = any(isinstance(ours, kind) and isinstance(theirs, kind) for kind in kinds)
    if not same and type(ours) is not type(theirs):
        raise FieldError(
            f"{select.reference!r} is a {type(ours).__name__}, but {target._meta.label}.{theirs.name} is a "
            f"{type(theirs).__name__}: they would never match."
        )


def _fields(policy: Policy) -> Iterator[Problem]:
    who, model = f"Policy {policy.name!r}", policy.get_model()
    try:
        clock = policy.select.field(model) if isinstance(policy.select, Aged) else None
        if clock is not None and not isinstance(clock, DateField):
            yield Problem(
                "E011",
                f"{who}: the clock {policy.clock!r} of {policy.model} is a "
                f"{type(clock).__name__}, which is no date or time.",
                "Name a DateTimeField or a DateField.",
            )
            return
        if isinstance(policy.select, Orphaned):
            _check_reference(policy.select, model)
        policy.select.fits(model)
        claims = Claims(DEFAULT_DB_ALIAS, ANY_TIME)
        str(policy.matching(claims).values("pk", *policy.columns).query.where)
        if isinstance(policy.action, Update):
            _check_values(policy.action.values, model)
            if isinstance(policy.action, Rewrite):
                _check_packing(policy.action.column, model)
            targets = []
            for name, values in policy.action.related.items():
                targets.append(related_by(model, name).related_model)
                _check_values(values, targets[-1])
                if not has_text_key(targets[-1]):
                    raise ConfigurationError(f"the key of {targets[-1]._meta.label} cannot be named as text")
            if len(targets) != len(set(targets)):
                raise ConfigurationError("two of its relations lead to the same model; keep one")
    except (FieldError, FieldDoesNotExist, LookupError, ValueError, TypeError, ValidationError) as error:
        yield Problem("E010", f"{who} does not fit {policy.model}: {error}", "Correct the field or relation.")
    except ConfigurationError as error:
        yield Problem("E010", f"{who}: {error}", "Correct the field or relation.")


def _check_packing(name: str, model: type[Model]) -> None:
    field = column(name, model)
    if not isinstance(field, PackedJSONField):
        raise ConfigurationError(
            f"{model._meta.label}.{name} is a {type(field).__name__}, which cannot read packed documents; "
            "make it a PackedJSONField"
        )


def _check_values(values: Values, model: type[Model]) -> None:
    for name, value in values.items():
        field: Any = model._meta.get_field(name)
        if not field.concrete or field.primary_key or field.many_to_many:
            raise FieldError(f"{model._meta.label}.{name} is no column that can be set.")
        if is_constant(value):
            if value is None and not field.null:
                raise FieldError(f"{model._meta.label}.{name} cannot be None.")
            if value is not None and field.unique:
                raise FieldError(f"{model._meta.label}.{name} is unique: only one row could have {value!r}.")
            if value is not None:
                field.run_validators(field.to_python(value))
        elif isinstance(value, RunClock):
            if not isinstance(field, DateField):
                raise FieldError(f"{model._meta.label}.{name} is no date or time, so it cannot be RUN_CLOCK.")
        else:
            value.resolve_expression(Query(model), allow_joins=False, for_save=True)
