from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from session_cleanup.models import Hold
from session_cleanup.web.admin.base import TableAdmin


class HoldAdmin(TableAdmin):
    list_display = ("__str__", "in_force", "until", "reason", "created_by")
    list_filter = ("model",)
    search_fields = ("object_pk", "reason", "created_by")
    fields = ("model", "object_pk", "until", "reason", "created_by")

    def get_readonly_fields(self, request: HttpRequest, obj: Hold | None = None) -> tuple[str, ...]:
        return ("created_by",) if obj is None else ("created_by", "model", "object_pk")

    def save_model(self, request: HttpRequest, obj: Hold, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = author(request)
        super().save_model(request, obj, form, change)

    @admin.display(description=_("in force"), boolean=True)
    def in_force(self, hold: Hold) -> bool:
        return hold.until is None or hold.until > timezone.now()


def author(request: HttpRequest) -> str:
    """The user of the request as Hold.created_by names them."""
    return request.user.get_username()[: Hold._meta.get_field("created_by").max_length]
