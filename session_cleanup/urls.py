"""For the project's own: path("cleanup/", include("session_cleanup.urls"))."""

from django.urls import path

from session_cleanup.web import views

app_name = "session_cleanup"
# Without the last slash too: a redirect would turn a POST into a GET.
urlpatterns = [
    path("cron/<path:name>/", views.cron, name="cron"),
    path("cron/<path:name>", views.cron),
    path("health/", views.health, name="health"),
    path("health", views.health),
]
