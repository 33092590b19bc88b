"""Series, and the log of what became of their sessions.

How a series recurs is changed for the sessions it has by recurrence.edits; here it is said when it is made.
"""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from session_cleanup.analytics.monitoring import local, with_sessions
from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.exceptions import SessionCleanupError
from session_cleanup.models import SeriesException, SeriesMember, SessionSeries
from session_cleanup.recurrence.edits import CHANGEABLE, Edit
from session_cleanup.web.admin.base import ReadOnly, TableAdmin, by_user_name
from session_cleanup.web.admin.filters import SeriesStateFilter
from session_cleanup.web.admin.holds import author


class MemberInline(admin.TabularInline):  # type: ignore[type-arg]
    model = SeriesMember
    raw_id_fields = ("user",)
    extra = 0


class ExceptionInline(admin.TabularInline):  # type: ignore[type-arg]
    model = SeriesException
    extra = 0
    verbose_name_plural = _("exceptions, for days of which nothing is generated yet")


class SessionSeriesAdmin(TableAdmin):
    list_display = (
        *("name", "rule", "time_zone", "start", "end", "state_shown"),
        *("sessions_shown", "earliest", "latest", "generated_until", "problem"),
    )
    list_filter = (SeriesStateFilter, "time_zone")
    search_fields = ("uid", "name")
    readonly_fields = ("uid", "generated_until", "problem", "updated_at")
    inlines = (MemberInline, ExceptionInline)
    actions = ("generate",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SessionSeries]:
        return with_sessions(super().get_queryset(request))

    @admin.display(description=_("start"), ordering="first_date")
    def start(self, series: SessionSeries) -> str:
        return f"{series.first:%Y-%m-%d %H:%M}"

    @admin.display(description=_("end"), ordering="ends_at")
    def end(self, series: SessionSeries) -> str | None:
        return local(series.ends_at, series.time_zone)

    @admin.display(description=_("state"))
    def state_shown(self, series: SessionSeries) -> Any:
        return _(series.state_at(timezone.now()))

    @admin.display(description=_("sessions"))
    def sessions_shown(self, series: Any) -> Any:
        url = reverse("admin:session_cleanup_session_changelist", current_app=self.admin_site.name)
        return format_html('<a href="{}?series={}">{}</a>', url, series.pk, series.session_count)

    @admin.display(description=_("earliest"))
    def earliest(self, series: Any) -> str | None:
        return local(series.earliest, series.time_zone)

    @admin.display(description=_("latest"))
    def latest(self, series: Any) -> str | None:
        return local(series.latest, series.time_zone)

    @method_decorator(transaction.non_atomic_requests)  # a batch is a transaction of its own
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().changelist_view(request, extra_context)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = () if obj is None else ("first_date", "created_at")
        return (*self.readonly_fields, *fixed)

    def save_model(self, request: HttpRequest, obj: SessionSeries, form: Any, change: bool) -> None:
        """A change reaches the sessions that are to come."""
        changes = {name: form.cleaned_data[name] for name in form.changed_data if name in CHANGEABLE}
        if change and changes:
            outcome = Edit(SessionSeries.objects.get(pk=obj.pk), changes).apply()
            said = ", ".join(f"{name} {count}" for name, count in outcome.counts().items() if count)
            self.message_user(request, _("Sessions to come: %s") % (said or _("none")), messages.SUCCESS)
        if change:
            rest = [name for name in form.changed_data if name not in CHANGEABLE]
            obj.save(update_fields=[*rest, "updated_at"])
        else:
            obj.save()
        if obj.notice:
            self.message_user(request, obj.notice, messages.WARNING)

    @admin.action(description=_("Generate the selected series now"), permissions=["change"])
    def generate(self, request: HttpRequest, rows: QuerySet[SessionSeries]) -> None:
        for series in rows.generated():  # type: ignore[attr-defined]
            wanted = RunRequest(
                jobs=("recurring-generate",), series=series.uid, trigger="admin", actor=author(request)
            )
            try:
                [job] = runner.run(wanted).jobs
            except SessionCleanupError as error:
                self.message_user(request, str(error), messages.ERROR)
                return
            said, level = f"{series}: {job.changed}", messages.SUCCESS
            if job.error:
                said, level = f"{series}: {job.error}", messages.ERROR
            self.message_user(request, said, level)


class OccurrenceLogAdmin(ReadOnly, TableAdmin):
    list_display = ("at", "event", "series_name", "session_title", "occurrence", "starts_at")
    list_filter = ("event",)
    search_fields = ("series_uid", "session_uid", "series_name", "session_title")


class SeriesMemberAdmin(TableAdmin):
    list_display = ("series", "user", "permission")
    list_select_related = ("series", "user")
    search_fields = ("series__name", by_user_name("user"))
    raw_id_fields = ("series", "user")


class SeriesExceptionAdmin(TableAdmin):
    list_display = ("series", "date", "kind", "moved_to")
    list_filter = ("kind",)
    list_select_related = ("series",)
    search_fields = ("series__name",)
    raw_id_fields = ("series",)
