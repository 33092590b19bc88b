"""The shipped systems: functions that return policies, on only when SESSION_CLEANUP_PRESETS names them."""

from collections.abc import Callable

from session_cleanup.policies.policy import Policy
from session_cleanup.policies.presets import after_hours, collaborative, housekeeping, presentations

PRESETS: dict[str, Callable[[], list[Policy]]] = {
    "presentations": presentations.policies,
    "collaborative": collaborative.policies,
    "after_hours": after_hours.policies,
}
HOUSEKEEPING = housekeeping.policies  # always on, after all others
