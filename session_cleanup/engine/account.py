"""Writes down, with each batch, what its job has done so far."""

from typing import Any

from django.db import connections
from django.db.models.functions import Now

from session_cleanup.engine.sql import Sql, updating
from session_cleanup.models import JobRun


class Account:
    """The record of one job run. Every batch writes the same columns, so they are put into SQL once."""

    def __init__(self, record: JobRun) -> None:
        self.rows = JobRun.objects.using(record._state.db).filter(pk=record.pk)
        self.key = record.pk
        self.written: dict[tuple[str, ...], str] = {}

    def entry(self, **values: Any) -> Sql:
        """The statement that writes these columns, and a sign of life."""
        connection = connections[self.rows.db]
        names = tuple(values)
        if names not in self.written:
            self.written[names], _ = updating(self.rows, {"heartbeat_at": Now(), **values})
        fields: list[Any] = [JobRun._meta.get_field(name) for name in names]
        params = (field.get_db_prep_save(values[field.name], connection) for field in fields)
        return self.written[names], (*params, self.key)
