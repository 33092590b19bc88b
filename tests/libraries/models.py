from django.apps import apps
from django.db import models


class Note(models.Model):
    text = models.TextField()

    if apps.is_installed("simple_history"):
        from simple_history.models import HistoricalRecords

        history = HistoricalRecords()


if apps.is_installed("reversion"):
    import reversion

    reversion.register(Note)
