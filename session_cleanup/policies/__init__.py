"""What is due, and what happens to it: the vocabulary a project's cleanup_policies.py is written in."""

from session_cleanup.policies.actions import RUN_CLOCK, Archive, Close, Deactivate, Delete, Update
from session_cleanup.policies.looking import Invalid
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.ranking import Duplicated, Excess
from session_cleanup.policies.registry import register
from session_cleanup.policies.rewrites import Compress
from session_cleanup.policies.selections import Aged, Orphaned

__all__ = [
    "RUN_CLOCK",
    "Aged",
    "Archive",
    "Close",
    "Compress",
    "Deactivate",
    "Delete",
    "Duplicated",
    "Excess",
    "Invalid",
    "Orphaned",
    "Policy",
    "Update",
    "register",
]
