from session_cleanup.models.history import Claim, CleanupLease, CleanupRun, Hold, JobRun
from session_cleanup.models.packing import PackingDictionary
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
    "PackingDictionary",
    "Session",
    "SessionDecline",
    "SessionMember",
    "SessionProfile",
]
