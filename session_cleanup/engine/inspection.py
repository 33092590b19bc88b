"""Looks into the rows of an Invalid, and keeps what its check said.

Why it is safe to let this decide on a delete: under its lock a row is decoded and checked anew, whatever
verdict it has, in the transaction that acts on it. Only False condemns it: a value that cannot be
decoded, a check that raises or says neither True nor False, leave the row as it is and fail the job, when
it has done the rest. Such a failure names rows and kinds of errors, never a value.

A dry run looks into the same rows and writes nothing. It holds a chunk of them at a time, and the keys of
those that fail.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import connections
from django.db.models import BooleanField, ExpressionWrapper, F, Model, QuerySet, TextField
from django.db.models.functions import Cast

from session_cleanup.exceptions import UnreadableValues
from session_cleanup.models.history import as_stored
from session_cleanup.models.payloads import Print
from session_cleanup.packing.encrypted import is_encrypted
from session_cleanup.policies.claims import AmongKeys
from session_cleanup.policies.conditions import column
from session_cleanup.policies.looking import Invalid

Rows = QuerySet[Any]
CHUNK = 200  # rows in memory at a time
NAMED = 10  # rows that a failure names


@dataclass(frozen=True)
class Finding:
    """What a look into one row showed."""

    valid: bool
    digest: str
    size: int


@dataclass
class Inspection:
    """The looks of one job. `unreadable` has the rows that it made nothing of, and why."""

    select: Invalid
    model: type[Model]
    using: str
    unreadable: dict[Any, str] = field(default_factory=dict)

    def failing(self, rows: Rows, seconds: float | None = None) -> list[Any]:
        """The keys of those of `rows` that fail the check. Raises TimeoutError after `seconds`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        found = []
        for key, text in self._stream(rows):
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError
            finding = self._look(key, text)
            if finding is not None and not finding.valid:
                found.append(key)
        self.complain()
        return found

    def settle(self, verdicts: Mapping[Any, str], going: bool, now: datetime) -> dict[Any, str]:
        """Those of the locked rows, each with why it may not be acted on or "", that fail the check.

        What was found is kept, but for rows that are `going` to be deleted by the same transaction. Of a
        row that was said to be invalid and is not, only that: its digest and its time count in this run.
        """
        rows: Rows = QuerySet(self.model, using=self.using).filter(AmongKeys(F("pk"), list(verdicts)))
        unknown = ExpressionWrapper(self.select.unknown, output_field=BooleanField())
        failing, kept, mended = {}, [], []
        for key, text, is_unknown in rows.values_list("pk", self._text, unknown):
            if (finding := self._look(key, text)) is None:
                continue
            if not finding.valid:
                failing[key] = verdicts[key]
            if is_unknown and not (going and failing.get(key) == ""):
                kept.append((key, finding))
            elif finding.valid:
                mended.append(key)
        self._keep(kept, now)
        if mended:
            rows.filter(AmongKeys(F("pk"), mended)).update(**{self.select.verdict: True})
        return failing

    def complain(self) -> None:
        """Raise UnreadableValues if there was a row of which nothing could be made."""
        if self.unreadable:
            where = f"{self.model._meta.label}.{self.select.column}"
            raise UnreadableValues(
                f"{where} could not be judged in {len(self.unreadable)} rows, which were left alone: "
                f"{self._named()}. Mend or delete them, or mend the check."
            )

    def _named(self) -> str:
        named = [f"pk {key} ({why})" for key, why in list(self.unreadable.items())[:NAMED]]
        return ", ".join(named) + (", …" if len(self.unreadable) > NAMED else "")

    @cached_property
    def _field(self) -> Any:
        return column(self.select.column, self.model)

    @property
    def _text(self) -> Cast:
        """The value as it is stored, so that one that cannot be decoded does not hide the others."""
        return Cast(self._field.attname, TextField())

    def _stream(self, rows: Rows) -> Iterator[tuple[Any, Any]]:
        rows = rows.order_by("pk").values_list("pk", self._text)
        chunk = list(rows[:CHUNK])
        while chunk:
            yield from chunk
            chunk = list(rows.filter(pk__gt=chunk[-1][0])[:CHUNK])

    def _look(self, key: Any, text: Any) -> Finding | None:
        try:
            finding = self._finding(text)
        except Exception as error:  # a decoder's or a check's: told by complain(), without what it says
            self.unreadable[key] = type(error).__name__
            return None
        self.unreadable.pop(key, None)
        return finding

    def _finding(self, text: Any) -> Finding:
        connection = connections[self.using]
        value = text
        for convert in self._field.get_db_converters(connection):
            value = convert(value, F(self._field.attname), connection)
        printed = Print.of(value, getattr(self._field, "encoder", None))
        verdict = is_encrypted(value) or self._check(value)
        if not isinstance(verdict, bool):
            raise TypeError("a check must say True or False")
        return Finding(verdict, printed.digest, printed.size)

    @cached_property
    def _check(self) -> Any:
        return self.select.get_check()

    def _keep(self, found: list[tuple[Any, Finding]], now: datetime) -> None:
        """Write down what was found; as of the row's own time where that is ahead of the run clock."""
        connection, select = connections[self.using], self.select
        moment = connection.ops.adapt_datetimefield_value(as_stored(now))
        when, times = "%s", [moment]
        if select.changed_at:
            changed = self._quoted(select.changed_at)
            when, times = f"CASE WHEN {changed} > %s THEN {changed} ELSE %s END", [moment, moment]
        optional = {"valid": select.verdict, "digest": select.digest, "size": select.size}
        kept = {part: name for part, name in optional.items() if name}
        sets = [f"{self._quoted(name)} = %s" for name in kept.values()]
        sets.append(f"{self._quoted(select.checked_at)} = {when}")
        key = column("pk", self.model)
        table = connection.ops.quote_name(self.model._meta.db_table)
        values = [
            [*(getattr(finding, part) for part in kept), *times, key.get_db_prep_value(pk, connection)]
            for pk, finding in found
        ]
        if values:
            with connection.cursor() as cursor:
                sql = f"UPDATE {table} SET {', '.join(sets)} WHERE {self._quoted('pk')} = %s"
                cursor.executemany(sql, values)

    def _quoted(self, name: str) -> str:
        return str(connections[self.using].ops.quote_name(column(name, self.model).column))
