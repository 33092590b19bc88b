"""What one job does to the tables: which of its rows are due, and what goes or changes with them.

A preview counts a footprint and a run brings it about, so both take it from here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import (
    Case,
    CharField,
    Exists,
    F,
    Model,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.deletion import PROTECT, RESTRICT
from django.db.models.functions import Cast

from session_cleanup.engine import cascades, protection
from session_cleanup.engine.inspection import Inspection
from session_cleanup.models import Claim, Hold
from session_cleanup.models.history import has_text_key, key_text
from session_cleanup.policies.actions import Delete, Update
from session_cleanup.policies.claims import AmongKeys, Claims, Condition, concrete
from session_cleanup.policies.conditions import disjoint, foreign_reads
from session_cleanup.policies.looking import Invalid
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.selections import ONE_BY_ONE

Rows = QuerySet[Any]
HELD = "held"
PROTECTED = "protected"
MANY = 100_000  # due rows above which a preview would rather not hold their keys in memory


def judged(policy: Policy, claims: Claims, *, part: bool = False, seconds: float | None = None) -> Rows:
    """The rows that match, each with `verdict`: "" when it is due, else why it is not.

    `part`: only some of the rows are going to be looked at, and what an Invalid looks into is left to a
    batch. Else it is looked into now, for at most `seconds`; TimeoutError says that they were too few.
    """
    model = policy.get_model()
    rows = policy.matching(claims, part=ONE_BY_ONE if part else None)
    if isinstance(policy.select, Invalid) and not part:
        failing = Inspection(policy.select, model, claims.using).failing(rows, seconds)
        rows = rows.filter(AmongKeys(F("pk"), failing))
    held = Q(Hold.objects.using(claims.using).on(model, claims.now))
    whens = []
    if isinstance(policy.action, Delete):
        for below in protection.held_below(model, claims):
            held |= Q(below)
        whens = [When(refuses, then=Value(PROTECTED)) for refuses in protection.protected(model, claims)]
    verdict = Case(When(held, then=Value(HELD)), *whens, default=Value(""), output_field=CharField())
    due: Rows = rows.annotate(verdict=verdict)
    return due


def guards(policy: Policy) -> tuple[bool, list[str]]:
    """What could keep a row that matches: whether rows that refer to it can, and the labels of the models
    a hold on whose rows does."""
    model = concrete(policy.get_model())
    labels = [model._meta.label]
    protects = False
    if isinstance(policy.action, Delete):
        paths = [edge for edge, _ in cascades.cascade_paths(model)]
        labels += {edge.child._meta.label for edge in paths}
        protects = any(edge.on_delete in (PROTECT, RESTRICT) for edge in paths)
    return protects, labels


def reads_one_table(policy: Policy, claims: Claims) -> bool:
    """Whether only columns of a row itself decide whether it matches.

    Then PostgreSQL judges the row that it locks or changes, as it is by then. What a condition reads of
    other rows is what stood there when the statement began.
    """
    model = policy.get_model()
    return not (
        policy.select.asks(model)
        or isinstance(policy.select, Invalid)
        or foreign_reads(policy.where, model)
        or claims.on(model)
        or model._base_manager.all().query.where
    )


@dataclass(frozen=True)
class Footprint:
    """Rows by what becomes of them. `own` and `related` are counted, `nulled` only claimed."""

    own: Rows
    related: list[Rows]
    nulled: list[Rows]
    deletes: bool

    @property
    def changed(self) -> list[Rows]:
        """The rows that stay in their tables with other values."""
        return self.nulled if self.deletes else [self.own, *self.related]

    @property
    def deleted(self) -> list[Rows]:
        return [self.own, *self.related] if self.deletes else []


def footprint(policy: Policy, rows: Rows, claims: Claims) -> Footprint:
    """What the policy's action does when it is done to `rows`."""
    if isinstance(policy.action, Delete):
        deleted = cascades.deleted_with(rows, claims)
        own = deleted.pop(concrete(rows.model))
        nulled = list(cascades.nulled_with({concrete(rows.model): own, **deleted}, claims))
        return Footprint(own, list(deleted.values()), nulled, deletes=True)
    assert isinstance(policy.action, Update)
    children = [each for each, _ in policy.action.effects(rows, claims)]
    return Footprint(rows, children, [], deletes=False)


def to_remember(policy: Policy, later: Iterable[Policy]) -> set[type[Model]]:
    """The models whose changed rows later jobs of the run could come upon, and so must know."""
    model = concrete(policy.get_model())
    written: set[type[Model]] = set()
    values: dict[str, Any] = {}
    if isinstance(policy.action, Update):
        values = dict(policy.action.values)
        written = {model, *_related_models(policy)}
    elif isinstance(policy.action, Delete):
        written = {edge.child for at in cascades.closure(model) for edge in cascades.nulling_edges(at)}
    met: set[type[Model]] = set()
    for other in later:
        met |= _related_models(other)
        target = concrete(other.get_model())
        alone = target is model and values and model not in _related_models(policy)
        if not (alone and disjoint(policy.where, other.where, values, model)):
            met.add(target)
    return written & met


def _related_models(policy: Policy) -> set[type[Model]]:
    action = policy.action
    return action.related_models(policy.get_model()) if isinstance(action, Update) else set()


def claim_in_preview(
    found: Footprint,
    due: int,
    remembered: set[type[Model]],
    watched: set[type[Model]],
    claims: Claims,
) -> None:
    """Make later previews of this run see these rows as changed or gone.

    They are claimed by their keys; very many as a condition, to save memory, but not rows that were found
    by way of earlier claims: conditions within conditions would double with every job. SQLite cannot even
    parse many of them.
    """
    by_keys = claims.made or due <= MANY or connections[claims.using].vendor == "sqlite"
    for rows in found.deleted:
        if concrete(rows.model) in watched:
            claims.delete(rows.model, _claim(rows, by_keys))
    for rows in found.changed:
        if concrete(rows.model) in remembered:
            claims.change(rows.model, _claim(rows, by_keys))


def _claim(rows: Rows, by_keys: bool) -> Condition:
    if by_keys and has_text_key(rows.model):
        return AmongKeys(F("pk"), list(rows.values_list("pk", flat=True)))
    return Exists(rows.filter(pk=OuterRef("pk")))


def claims_of_run(found: Footprint, remembered: set[type[Model]], claims: Claims, run_id: int) -> list[Claim]:
    """The keys that a batch is about to change and later jobs must know; to be saved when it has.

    Saved before, they would hide the batch's own rows from its own effects.
    """
    return [
        Claim(
            run_id=run_id,
            model=concrete(rows.model)._meta.label,
            object_pk=key_text(concrete(rows.model), key, claims.using),
        )
        for rows in found.changed
        if concrete(rows.model) in remembered
        for key in rows.values_list("pk", flat=True)
    ]


def claimed(model: type[Model], run_id: int, using: str) -> Exists:
    """The condition "an earlier job of this run wrote this row of `model` down"."""
    key = Cast(OuterRef("pk"), TextField())
    label = concrete(model)._meta.label
    return Exists(Claim.objects.using(using).filter(run_id=run_id, model=label, object_pk=key))
