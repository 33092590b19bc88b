"""Registers web/admin where Django looks for it."""

from django.contrib import admin

from session_cleanup import models
from session_cleanup.web.admin import history, holds, reports, series, sessions, undo

admin.site.register(models.Session, sessions.SessionAdmin)
admin.site.register(models.SessionMember, sessions.SessionMemberAdmin)
admin.site.register(models.SessionDecline, sessions.SessionDeclineAdmin)
admin.site.register(models.DeviceFingerprint, sessions.DeviceFingerprintAdmin)
admin.site.register(models.SessionProfile, sessions.SessionProfileAdmin)
admin.site.register(models.SessionSeries, series.SessionSeriesAdmin)
admin.site.register(models.SeriesMember, series.SeriesMemberAdmin)
admin.site.register(models.SeriesException, series.SeriesExceptionAdmin)
admin.site.register(models.OccurrenceLog, series.OccurrenceLogAdmin)
admin.site.register(models.SessionReport, reports.SessionReportAdmin)
admin.site.register(models.Hold, holds.HoldAdmin)
admin.site.register(models.CleanupRun, history.CleanupRunAdmin)
admin.site.register(models.JobRun, history.JobRunAdmin)
admin.site.register(models.CleanupLease, history.CleanupLeaseAdmin)
admin.site.register(models.UndoSet, undo.UndoSetAdmin)
admin.site.register(models.ArchiveFile, undo.ArchiveFileAdmin)
