"""Runs, their jobs and leases: to look at only. The page of the statistics hangs on the runs."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from session_cleanup.models import CleanupLease, JobRun
from session_cleanup.web.admin.base import ReadOnly, TableAdmin
from session_cleanup.web.admin.states import state_of, with_died
from session_cleanup.web.admin.views import stats_view


class WithState:
    """Rows with `state`, without a query for each row."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_died(super().get_queryset(request))  # type: ignore[misc]

    @admin.display(description=_("state"))
    def state_shown(self, row: Any) -> Any:
        return state_of(row).label


class JobRunInline(WithState, ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = JobRun
    fields = ("job", "state_shown", "changed", "related", "skipped", "batches", "seconds", "error")
    readonly_fields = fields
    ordering = ("pk",)
    show_change_link = True


class CleanupRunAdmin(WithState, ReadOnly, TableAdmin):
    list_display = (
        *("__str__", "state_shown", "started_at", "finished_at", "exit_status"),
        *("trigger", "actor", "host"),
    )
    list_filter = ("status", "trigger")
    search_fields = ("actor", "host")
    date_hierarchy = "started_at"
    fields = (
        *("state_shown", "started_at", "finished_at", "exit_status"),
        *("trigger", "actor", "host", "pid", "options"),
    )
    readonly_fields = ("state_shown",)
    inlines = (JobRunInline,)
    change_list_template = "session_cleanup/admin/run_list.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(stats_view(self.admin_site))
        return [path("stats/", view, name="session_cleanup_stats"), *super().get_urls()]


class JobRunAdmin(WithState, ReadOnly, TableAdmin):
    list_display = ("job", "state_shown", "run", "changed", "batches", "seconds", "heartbeat_at")
    list_filter = ("end_state", "job")
    list_select_related = ("run",)
    search_fields = ("job",)
    fields = (
        *("run", "job", "state_shown", "model", "database", "action", "cutoff", "changed", "related"),
        *("skipped", "batches", "walk", "cursor", "seconds", "heartbeat_at", "error"),
    )
    readonly_fields = ("state_shown",)


class CleanupLeaseAdmin(ReadOnly, TableAdmin):
    list_display = ("job", "is_held", "holder", "since", "expires_at", "fence")
    fields = ("job", "is_held", "holder", "run_id", "since", "expires_at", "fence")
    readonly_fields = ("is_held",)
    search_fields = ("job", "holder")
    ordering = ("job",)

    @admin.display(description=_("held"))
    def is_held(self, lease: CleanupLease) -> Any:
        return _("held") if lease.expires_at > timezone.now() else None
