"""What can be taken back, and what was archived: to look at only. The rows themselves are not shown."""

from session_cleanup.web.admin.base import ReadOnly, TableAdmin


class UndoSetAdmin(ReadOnly, TableAdmin):
    list_display = ("run_id", "job", "model", "kind", "restored", "expires_at")
    list_filter = ("kind", "job")
    search_fields = ("=run_id", "job", "model")
    fields = ("run_id", "job", "model", "kind", "columns", "sealed", "left_out", "restored", "expires_at")


class ArchiveFileAdmin(ReadOnly, TableAdmin):
    list_display = ("name", "job", "run_id", "size", "created_at")
    list_filter = ("job",)
    search_fields = ("=run_id", "job", "name", "sha256")
    fields = ("run_id", "job", "name", "sha256", "size", "rows", "created_at")
