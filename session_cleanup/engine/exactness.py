"""Why a preview of a job may differ from its run, as far as the models and policies alone can tell."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Model
from django.db.models.deletion import DO_NOTHING, PROTECT, RESTRICT
from django.db.models.signals import post_delete, pre_delete

from session_cleanup.engine import cascades, protection
from session_cleanup.policies.actions import Delete, Update, related_by
from session_cleanup.policies.claims import concrete
from session_cleanup.policies.conditions import column, disjoint, foreign_reads, paths
from session_cleanup.policies.looking import Invalid
from session_cleanup.policies.policy import Policy


def doubts(policies: Sequence[Policy]) -> list[list[str]]:
    """For each job of a run, in their order, the reasons as clauses; none where the preview is exact."""
    found: list[list[str]] = []
    for index, policy in enumerate(policies):
        reasons = surprises(policy.get_model()) if isinstance(policy.action, Delete) else []
        for other, doubted in zip(policies[:index], found, strict=True):
            reasons += _because_of(other, bool(doubted), policy)
        reads = foreign_reads(policy.where, policy.get_model()) - {None}
        for read in sorted(reads & writes(policy), key=_label):
            reasons.append(f"its condition reads {_label(read)}, which the job itself changes")
        reasons += _by_itself(policy)
        found.append(reasons)
    return found


def _by_itself(policy: Policy) -> Iterator[str]:
    """Why what one batch does can decide what a later batch of the same job finds."""
    model = policy.get_model()
    if isinstance(policy.action, Update) and concrete(model) in policy.action.related_models(model):
        yield "its related effect leads back to its own model"
    if isinstance(policy.action, Delete):
        for asked, field in policy.select.asks(model).items():
            gone = _deleted_with(field, model) | (set() if policy.select.ranks else {concrete(model)})
            if concrete(asked) in gone:
                yield "what it deletes may leave others of its rows without their target"


def _deleted_with(field: Any, model: type[Model]) -> set[type[Model]]:
    """The models of which rows go with a row of `model`, other than those that `field` refers with."""
    paths = cascades.cascade_paths(model)
    return {edge.child for edge, _ in paths if edge.cascades and edge.field is not field}


def _because_of(other: Policy, doubted: bool, policy: Policy) -> Iterator[str]:
    """Why the earlier job `other` makes the preview of `policy` uncertain."""
    if isinstance(other.action, Delete) and _has_receivers(other):
        yield f"signal receivers run in the earlier job {other.name}"
    elif doubted and writes(other) & sees(policy):
        yield f"the preview of the earlier job {other.name} is not exact"
    if kept := _kept_columns(other, policy):
        yield f"it reads {', '.join(sorted(kept))}, in which the earlier job {other.name} keeps what it found"
    written = written_columns(other)
    for asked, field in policy.select.asks(policy.get_model()).items():
        if field is not None and field.name in written.get(concrete(asked), ()):
            yield f"it asks for {_label(asked)}.{field.name}, which the earlier job {other.name} changes"
    if isinstance(policy.action, Delete):
        for edge, _ in cascades.cascade_paths(policy.get_model()):
            if edge.field.name in written.get(edge.child, ()):
                yield f"the earlier job {other.name} changes what refers to its rows"
    reads = foreign_reads(policy.where, policy.get_model())
    if None in reads:
        yield f"its condition may read what the earlier job {other.name} changes"
    for read in sorted((reads - {None}) & writes(other), key=_label):
        yield f"its condition reads {_label(read)}, which the earlier job {other.name} changes"


def _kept_columns(other: Policy, policy: Policy) -> set[str]:
    """The columns in which the earlier job `other`, an Invalid, keeps verdicts, and which this one reads."""
    model = policy.get_model()
    ours = isinstance(other.select, Invalid) and concrete(other.get_model()) is concrete(model)
    if not ours or disjoint(other.where, policy.where, {}, model):
        return set()
    assert isinstance(other.select, Invalid)
    read = {path.partition("__")[0] for path in paths(policy.where) if path}
    return other.select.stored & (read | policy.select.reads)


def sees(policy: Policy) -> set[Any]:
    """The models whose rows decide what a job does."""
    model = policy.get_model()
    seen = writes(policy) | {concrete(each) for each in foreign_reads(policy.where, model) if each}
    seen |= {concrete(each) for each in policy.select.asks(model)}
    if isinstance(policy.action, Delete):
        seen |= {edge.child for edge, _ in cascades.cascade_paths(model)}
    return seen


def writes(policy: Policy) -> set[Any]:
    """The models of which a job may change or delete rows."""
    model = concrete(policy.get_model())
    if isinstance(policy.action, Delete):
        gone = cascades.closure(model)
        return gone | {edge.child for at in gone for edge in cascades.nulling_edges(at)}
    assert isinstance(policy.action, Update)
    return {model} | policy.action.related_models(model)


def written_columns(policy: Policy) -> dict[Any, set[str]]:
    """The columns that an Update writes, by model: of its own rows, and of related ones."""
    if not isinstance(policy.action, Update):
        return {}
    model = policy.get_model()
    found = {concrete(model): {column(name, model).name for name in policy.action.values}}
    for relation, values in policy.action.related.items():
        child = concrete(related_by(model, relation).related_model)
        found.setdefault(child, set()).update(column(name, child).name for name in values)
    return found


def _has_receivers(policy: Policy) -> bool:
    return any(has_receivers(model) for model in cascades.closure(policy.get_model()))


def _label(model: Any) -> str:
    return str(model._meta.label)


def has_receivers(model: type[Model]) -> bool:
    """Whether code of the project runs when a row of `model` is deleted."""
    if model._meta.auto_created:  # Django sends no signals for the rows of a many-to-many field
        return False
    return any(signal.has_listeners(model) for signal in (pre_delete, post_delete))


def surprises(model: type[Model]) -> list[str]:
    """Why a preview of deleting rows of `model` may differ from doing it; empty when it cannot."""
    found = []
    for at in sorted(cascades.closure(model), key=lambda each: each._meta.label):
        if has_receivers(at):
            found.append(f"signal receivers run when a {at._meta.label} is deleted")
        if protection.generic_relations(at):
            found.append(f"{at._meta.label} has a generic relation, whose rows are not counted beforehand")
        if at._meta.parents:
            found.append(f"{at._meta.label} inherits from another table, whose row goes with it")
        for edge in cascades.edges(at):
            if edge.on_delete is DO_NOTHING and getattr(edge.field, "db_constraint", True):
                found.append(f"the database may keep a {at._meta.label} to which a row refers")
        if any(edge.in_database and not cascades.is_seen_whole(edge.child) for edge in cascades.edges(at)):
            found.append(
                f"the database itself cascades from {at._meta.label} to rows that Django does not see"
            )
    if protection.frees_itself(model):
        found.append("a row that goes may be what protects another row that is due")
    elif cascades.is_cyclic(model) and any(
        edge.on_delete in (PROTECT, RESTRICT) for edge, _ in cascades.cascade_paths(model)
    ):
        found.append("what protects a row may hang below it at any depth")
    if any(
        edge.child is concrete(model) for at in cascades.closure(model) for edge in cascades.nulling_edges(at)
    ):
        found.append("rows of its own table lose their reference meanwhile")
    return found
