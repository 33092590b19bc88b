"""The shipped session tables. Payloads hold cookies and tokens: they are neither read nor shown here.

A loose reference may point at a row that is gone. Such a row must be listed too, so its reference is
shown as a plain number: a join would hide it.
"""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Exists, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from session_cleanup.models import DeviceFingerprint, Hold, Session, SessionProfile
from session_cleanup.web.admin.base import TableAdmin, by_user_name
from session_cleanup.web.admin.filters import BeginsFilter, SeriesFilter, SessionStateFilter
from session_cleanup.web.admin.holds import author


class SessionAdmin(TableAdmin):
    list_display = (
        *("__str__", "kind", "owner", "holder", "state", "is_held"),
        *("starts_at", "expires_at", "last_activity_at", "ended_at"),
    )
    list_filter = ("kind", BeginsFilter, SessionStateFilter, SeriesFilter, "is_active", "end_reason")
    list_select_related = ("owner",)
    search_fields = ("uid", "title", "holder", by_user_name("owner"))
    raw_id_fields = ("owner", "series")
    readonly_fields = ("uid", "occurrence", "updated_at")
    exclude = ("payload",)
    actions = ("hold",)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        soon = request.GET.get(BeginsFilter.parameter_name) == BeginsFilter.soon
        return ("starts_at", "pk") if soon else self.ordering

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        rows: QuerySet[Session] = super().get_queryset(request).defer("payload", "settings")
        return rows.annotate(held=_held(rows))

    def save_model(self, request: HttpRequest, obj: Session, form: Any, change: bool) -> None:
        """Write only what was edited, so that a touch() meanwhile is not undone.

        A session of a series then goes its own way.
        """
        if change and obj.series_id is not None and form.changed_data:
            obj.is_detached = True
        obj.save(update_fields=[*form.changed_data, "is_detached", "updated_at"] if change else None)

    @admin.display(description=_("held"))
    def is_held(self, session: Any) -> Any:
        return _("held") if session.held else None

    def has_hold_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("session_cleanup.add_hold")

    @admin.action(description=_("Hold the selected sessions"), permissions=["hold"])
    def hold(self, request: HttpRequest, rows: QuerySet[Session]) -> None:
        placed = 0
        for session in rows.filter(~_held(rows)):
            Hold.objects.place(session, created_by=author(request))
            placed += 1
        message = ngettext(
            "%(count)d session was put under a hold: no run will touch it.",
            "%(count)d sessions were put under a hold: no run will touch them.",
            placed,
        )
        self.message_user(request, message % {"count": placed}, messages.SUCCESS)


def _held(rows: QuerySet[Session]) -> Exists:
    return Hold.objects.using(rows.db).on(Session, timezone.now())


class SessionMemberAdmin(TableAdmin):
    list_display = ("session", "user", "permission", "is_online", "joined_at", "last_seen_at")
    list_filter = ("permission", "is_online")
    list_select_related = ("session", "user")
    search_fields = ("session__title", by_user_name("user"))
    raw_id_fields = ("session", "user")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("session__payload", "session__settings")


class SessionDeclineAdmin(TableAdmin):
    list_display = ("decliner", "declined", "count", "created_at", "last_declined_at")
    list_select_related = ("decliner", "declined")
    search_fields = (by_user_name("decliner"), by_user_name("declined"))
    raw_id_fields = ("decliner", "declined")


class DeviceFingerprintAdmin(TableAdmin):
    list_display = ("__str__", "session_number", "user", "created_at")
    list_select_related = ("user",)
    search_fields = ("digest", by_user_name("user"))
    raw_id_fields = ("session", "user")

    @admin.display(description=_("session"), ordering="session_id")
    def session_number(self, fingerprint: DeviceFingerprint) -> int:
        return fingerprint.session_id


class SessionProfileAdmin(TableAdmin):
    list_display = ("display_name", "user_number", "created_at")
    search_fields = ("display_name",)
    raw_id_fields = ("user",)

    @admin.display(description=_("user"), ordering="user_id")
    def user_number(self, profile: SessionProfile) -> Any:
        return profile.user_id
