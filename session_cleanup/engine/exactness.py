"""Why a preview of a job may differ from its run, as far as the models and policies alone can tell."""

from collections.abc import Iterator, Sequence
from typing import Any

from session_cleanup.engine import cascades
from session_cleanup.policies.actions import Delete, Update, related_by
from session_cleanup.policies.claims import concrete
from session_cleanup.policies.conditions import foreign_reads
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.selections import Orphaned


def doubts(policies: Sequence[Policy]) -> list[list[str]]:
    """For each job of a run, in their order, the reasons as clauses; none where the preview is exact."""
    found: list[list[str]] = []
    for index, policy in enumerate(policies):
        reasons = cascades.surprises(policy.get_model()) if isinstance(policy.action, Delete) else []
        for other, doubted in zip(policies[:index], found, strict=True):
            reasons += _because_of(other, bool(doubted), policy)
        reads = foreign_reads(policy.where, policy.get_model()) - {None}
        for read in sorted(reads & writes(policy), key=_label):
            reasons.append(f"its condition reads {_label(read)}, which the job itself changes")
        found.append(reasons)
    return found


def _because_of(other: Policy, doubted: bool, policy: Policy) -> Iterator[str]:
    """Why the earlier job `other` makes the preview of `policy` uncertain."""
    if isinstance(other.action, Delete) and _has_receivers(other):
        yield f"signal receivers run in the earlier job {other.name}"
    elif doubted and writes(other) & sees(policy):
        yield f"the preview of the earlier job {other.name} is not exact"
    reads = foreign_reads(policy.where, policy.get_model())
    if None in reads:
        yield f"its condition may read what the earlier job {other.name} changes"
    for read in sorted((reads - {None}) & writes(other), key=_label):
        yield f"its condition reads {_label(read)}, which the earlier job {other.name} changes"


def sees(policy: Policy) -> set[Any]:
    """The models whose rows decide what a job does."""
    model = policy.get_model()
    seen = writes(policy) | {concrete(each) for each in foreign_reads(policy.where, model) if each}
    if isinstance(policy.select, Orphaned):
        seen.add(concrete(policy.select.target(model)[0]))
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
    return {model} | {concrete(related_by(model, name).related_model) for name in policy.action.related}


def _has_receivers(policy: Policy) -> bool:
    return any(cascades.has_receivers(model) for model in cascades.closure(policy.get_model()))


def _label(model: Any) -> str:
    return str(model._meta.label)
