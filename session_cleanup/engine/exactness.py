"""Why a preview of a job may differ from its run, as far as the models and policies alone can tell."""

from collections.abc import Sequence
from typing import Any

from session_cleanup.engine import cascades
from session_cleanup.policies.actions import Delete, Update, related_by
from session_cleanup.policies.claims import concrete
from session_cleanup.policies.conditions import foreign_reads
from session_cleanup.policies.policy import Policy


def doubts(policy: Policy, earlier: Sequence[Policy]) -> list[str]:
    """Reasons, as clauses; empty when the preview is exact. `earlier` are the jobs run before it."""
    model = policy.get_model()
    reasons = cascades.surprises(model) if isinstance(policy.action, Delete) else []
    reads = foreign_reads(policy.where, model)
    for other in earlier:
        if isinstance(other.action, Delete) and _has_receivers(other):
            reasons.append(f"signal receivers run in the earlier job {other.name}")
        if None in reads:
            reasons.append(f"its condition may read what the earlier job {other.name} changes")
        for read in sorted((reads - {None}) & writes(other), key=_label):
            reasons.append(f"its condition reads {_label(read)}, which the earlier job {other.name} changes")
    for read in sorted((reads - {None}) & writes(policy), key=_label):
        reasons.append(f"its condition reads {_label(read)}, which the job itself changes")
    return reasons


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
