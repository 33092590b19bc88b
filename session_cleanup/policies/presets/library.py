"""A job of a preset for a library: it deletes, and is named after its preset."""

from django.db.models import Q

from session_cleanup.policies.actions import Delete
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.selections import Selection


def job(preset: str, name: str, model: str, select: Selection, where: Q | None = None) -> Policy:
    return Policy(
        name=f"{preset}-{name}"[:64].rstrip("-"),
        model=model,
        where=where or Q(),
        select=select,
        action=Delete(),
        preset=preset,
    )
