from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SessionCleanupConfig(AppConfig):
    name = "session_cleanup"
    verbose_name = _("Session cleanup")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from session_cleanup import checks  # noqa: F401 - registers the system checks
        from session_cleanup.policies import registry

        registry.autodiscover()
