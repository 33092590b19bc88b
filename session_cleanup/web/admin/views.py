from collections.abc import Callable

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from session_cleanup.web.admin import stats


def stats_view(site: AdminSite) -> Callable[[HttpRequest], HttpResponse]:
    """The page of the statistics on that admin site, for those who may see it."""

    def view(request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("session_cleanup.view_stats"):
            raise PermissionDenied
        request.current_app = site.name
        context = {
            **site.each_context(request),
            "title": _("Cleanup statistics"),
            "stats": stats.gather(),
            "links_runs": request.user.has_perm("session_cleanup.view_cleanuprun"),
        }
        return TemplateResponse(request, "session_cleanup/admin/stats.html", context)

    return view
