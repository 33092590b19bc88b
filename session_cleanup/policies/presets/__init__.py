"""What is shipped: functions that return policies, on only when SESSION_CLEANUP_PRESETS names them."""

from collections.abc import Callable, Sequence

from session_cleanup.policies.job import Job
from session_cleanup.policies.presets import (
    after_hours,
    browser,
    browser_report,
    collaborative,
    housekeeping,
    presentations,
    recurring,
)
from session_cleanup.policies.presets.libraries import KEPT, LIBRARIES

SYSTEMS: dict[str, Callable[[], Sequence[Job]]] = {
    "presentations": presentations.policies,
    "collaborative": collaborative.policies,
    "after_hours": after_hours.policies,
    "browser": lambda: [*browser.policies(), *browser_report.routines()],
    "recurring": recurring.jobs,
}
PRESETS = {**SYSTEMS, **{name: library.policies for name, library in LIBRARIES.items()}}
HOUSEKEEPING = housekeeping.policies  # always on, after all others

__all__ = ["HOUSEKEEPING", "KEPT", "LIBRARIES", "PRESETS", "SYSTEMS"]
