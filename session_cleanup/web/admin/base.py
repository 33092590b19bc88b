"""What all our pages in the admin share."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest


class TableAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # cannot be subscripted at run time
    """Lists that stay quick on large tables: the newest first, and no count of the whole table."""

    show_full_result_count = False
    ordering = ("-pk",)


class ReadOnly:
    """History is written by runs and pruned by housekeeping, never by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def by_user_name(relation: str) -> str:
    """The search field that finds users by the name they log in with."""
    return f"{relation}__{get_user_model().USERNAME_FIELD}"
