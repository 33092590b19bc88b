from session_cleanup.models.history import Claim, CleanupLease, CleanupRun, Hold, JobRun
from session_cleanup.models.reports import SessionReport
from session_cleanup.models.sessions import (
    DeviceFingerprint,
    Session,
    SessionDecline,
    SessionMember,
    SessionProfile,
)

__all__ = [
    "Claim",
    "CleanupLease",
    "CleanupRun",
    "DeviceFingerprint",
    "Hold",
    "JobRun",
    "Session",
    "SessionDecline",
    "SessionMember",
    "SessionProfile",
    "SessionReport",
]
