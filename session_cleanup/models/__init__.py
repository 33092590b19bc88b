from session_cleanup.models.history import Claim, CleanupLease, CleanupRun, Hold, JobRun
from session_cleanup.models.sessions import (
    DeviceFingerprint,
    Session,
    SessionDecline,
    SessionMember,
    SessionProfile,
)
from session_cleanup.models.undo import ArchiveFile, UndoRecord, UndoSet

__all__ = [
    "ArchiveFile",
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
    "UndoRecord",
    "UndoSet",
]
