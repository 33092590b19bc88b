"""A column for wall times."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.dateparse import parse_datetime


class WallTimeField(models.Field):  # type: ignore[type-arg]
    """What the clock on the wall shows: a date and a time without a zone, which stands elsewhere."""

    def db_type(self, connection: Any) -> str:
        return "timestamp" if connection.vendor == "postgresql" else "text"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> datetime | None:
        return self.to_python(value)

    def to_python(self, value: Any) -> datetime | None:
        if value is None:
            return None
        try:
            found = value if isinstance(value, datetime) else parse_datetime(str(value))
        except ValueError:  # well formed, and no date
            found = None
        if found is None or found.tzinfo is not None:
            raise ValidationError(f"{value!r} is no date and time without a zone: 2026-01-31 09:00.")
        return found

    def get_prep_value(self, value: Any) -> datetime | None:
        return self.to_python(super().get_prep_value(value))

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        value = super().get_db_prep_value(value, connection, prepared)
        return value if connection.vendor == "postgresql" or value is None else str(value)

    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else value.isoformat()

    def formfield(self, **options: Any) -> Any:
        return super().formfield(**{"form_class": _FormField, **options})


class _FormField(forms.DateTimeField):
    def to_python(self, value: Any) -> Any:
        return WallTimeField().to_python(value) if value not in self.empty_values else None
