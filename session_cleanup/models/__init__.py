from session_cleanup.models.history import Claim, CleanupLease, CleanupRun, Hold, JobRun
from session_cleanup.models.occurrences import OccurrenceLog, SeriesException
from session_cleanup.models.packing import PackingDictionary
from session_cleanup.models.reports import SessionReport
from session_cleanup.models.series import SeriesMember, SessionSeries
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
    "OccurrenceLog",
    "PackingDictionary",
    "SeriesException",
    "SeriesMember",
    "Session",
    "SessionDecline",
    "SessionMember",
    "SessionProfile",
    "SessionReport",
    "SessionSeries",
    "UndoRecord",
    "UndoSet",
]
