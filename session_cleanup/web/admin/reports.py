"""The monthly reports: to look at only, each as a page of its own."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from session_cleanup.analytics.report import document_of
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.models import SessionReport
from session_cleanup.reporting.page import POLICY, as_html
from session_cleanup.web.admin.base import ReadOnly, TableAdmin


class SessionReportAdmin(ReadOnly, TableAdmin):
    list_display = ("__str__", "created_at", "page")
    fields = ("month", "created_at", "page")
    readonly_fields = ("page",)
    ordering = ("-month",)
    date_hierarchy = "month"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.page_view)
        return [path("<int:pk>/page/", view, name="session_cleanup_report"), *super().get_urls()]

    def page_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        report = self.get_queryset(request).filter(pk=pk).first()
        if not self.has_view_permission(request, report):
            raise PermissionDenied
        if report is None:
            raise Http404
        try:
            page = as_html(document_of(report))
        except ConfigurationError as error:  # its charts cannot be drawn
            return HttpResponse(str(error), content_type="text/plain", status=503)
        return HttpResponse(page, headers={"Content-Security-Policy": POLICY})

    @admin.display(description=_("page"))
    def page(self, report: SessionReport) -> Any:
        url = reverse("admin:session_cleanup_report", args=[report.pk], current_app=self.admin_site.name)
        return format_html('<a href="{}">{}</a>', url, _("Open the report"))
