"""Gives documents another stored form: reads and converts without a lock, writes under it.

Why nothing is lost: a new form is read back before it is offered (packing) or carries the checksum of the
document (unpacking), and it is written only where the locked row is still the very one that was read: on
PostgreSQL the same version of the row, in SQLite the same text. A row that somebody has changed meanwhile
is not written; it comes again at the end of the job.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import connections, transaction
from django.db.models import F, Func, QuerySet, TextField

from session_cleanup.conf import conf
from session_cleanup.engine.connections import HINTS, bounded
from session_cleanup.engine.deletion import Deleted
from session_cleanup.engine.training import chosen
from session_cleanup.exceptions import PackingError
from session_cleanup.models.history import plain
from session_cleanup.packing import dictionaries
from session_cleanup.packing.encrypted import MARKER, is_encrypted
from session_cleanup.packing.envelope import ESCAPED, PREFIX
from session_cleanup.packing.lookups import AsStored
from session_cleanup.policies.actions import Effect
from session_cleanup.policies.claims import AmongKeys, Claims, concrete
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.rewrites import Compress, Rewrite

logger = logging.getLogger(__name__)
PORTION = 8_000_000  # bytes as stored that a batch takes on, or one row
INCOMPRESSIBLE, CORRUPT = "incompressible", "corrupt"


class Stays(Exception):
    """A document keeps its form; `reason` is that of a skipped row, "" where it is not due."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason


@dataclass(frozen=True)
class Form:
    """A new form of a document, and what it was made from. `version`: of the row, on PostgreSQL."""

    was: str
    new: str
    version: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Form({len(self.was)} to {len(self.new)} characters)"


class Rewriting:
    """A Rewrite under way. With `keeping` a dictionary that had to be trained is stored."""

    def __init__(self, policy: Policy, claims: Claims, *, keeping: bool = True) -> None:
        assert isinstance(policy.action, Rewrite)
        self.policy = policy
        self.action = policy.action
        self.using = claims.using
        self.claims = claims
        self.keeping = keeping
        self.model = concrete(policy.get_model())
        self.forms: dict[Any, Form] = {}  # by key, of the rows that were taken last
        self.refused: dict[Any, str] = {}  # why a row of them keeps its form

    def take(self, keys: list[Any]) -> list[Any]:
        """Work out new forms for as many of `keys` as fit into memory; returns these."""
        self.forms, self.refused = {}, {}
        with (
            transaction.atomic(using=self.using),
            bounded(connections[self.using], conf.STATEMENT_TIMEOUT_MS, hints=HINTS),
        ):
            keys = self._portion(keys)
            found = self._read(keys)
        for key, was, *version in found:
            try:
                self.forms[key] = Form(was, self._convert(was), tuple(version))
            except Stays as stays:
                if stays.reason:
                    self.refused[key] = stays.reason
            except PackingError as error:
                if isinstance(self.action, Compress):
                    raise
                self.refused[key] = CORRUPT
                named = f"{self.model._meta.label}.{self.action.column}"
                logger.error("row cannot be unpacked column=%s key=%s error=%s", named, key, error)
        return keys

    def write(self, keys: list[Any]) -> Deleted:
        """Give those of `keys`, which are locked and due, their new forms."""
        ready = {key: self.forms[key] for key in keys if key in self.forms}
        at_once = connections[self.using].vendor == "postgresql"
        written = (self._write_all if at_once else self._write_each)(ready) if ready else set()
        skipped = Counter(self.refused[key] for key in keys if key in self.refused)
        left_out = [key for key in keys if key not in written and key not in self.refused]
        return Deleted(Effect(len(written), figures=self.figures(written)), left_out, skipped)

    def figures(self, keys: Iterable[Any]) -> dict[str, int]:
        """Bytes of these documents in their old form and in their new one."""
        forms = [self.forms[key] for key in keys]
        return {
            "bytes_before": sum(len(form.was.encode()) for form in forms),
            "bytes_after": sum(len(form.new.encode()) for form in forms),
        }

    def _rows(self, keys: list[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = QuerySet(self.model, using=self.using)
        return rows.filter(AmongKeys(F("pk"), keys))

    def _portion(self, keys: list[Any]) -> list[Any]:
        sizes = dict(self._rows(keys).values_list("pk", f"{self.action.column}__stored_size"))
        total = 0
        for count, key in enumerate(keys):
            total += sizes.get(key) or 0
            if total > PORTION and count:
                return keys[:count]
        return keys

    def _read(self, keys: list[Any]) -> list[Any]:
        """(key, document, what tells this version of the row from others)"""
        wanted: list[Any] = ["pk", AsStored(F(self.action.column))]
        if connections[self.using].vendor == "postgresql":
            wanted += [RowVersion(F("pk"), name) for name in ("ctid", "xmin")]
        rows = self._rows(keys).filter(**{f"{self.action.column}__isnull": False})
        return list(rows.values_list(*wanted))

    @cached_property
    def _convert(self) -> Callable[[str], str]:
        """From one form to the other; raises Stays."""
        if not isinstance(self.action, Compress):
            return self._unpacked
        packer = chosen(self.policy, self.claims, keeping=self.keeping)

        def packed(was: str) -> str:
            if was[:1] not in "{[" or (f'"{MARKER}"' in was and is_encrypted(json.loads(was))):
                raise Stays
            found = packer.packed(was)
            if found is None:
                raise Stays(INCOMPRESSIBLE)
            return f'"{found}"'

        return packed

    def _unpacked(self, was: str) -> str:
        if not was.startswith(f'"{PREFIX}') or was.startswith(f'"{ESCAPED}'):
            raise Stays
        return dictionaries.unpacked(self.using, json.loads(was))

    def _write_all(self, forms: dict[Any, Form]) -> set[Any]:
        table, key, column = self._names()
        kind = plain(self.model._meta.pk).rel_db_type(connections[self.using])
        sql = (
            f"UPDATE {table} SET {column} = new.form::jsonb"
            f" FROM json_to_recordset(%s::json) AS new(key {kind}, ctid tid, xmin xid, form text)"
            f" WHERE {table}.{key} = new.key AND {table}.ctid = new.ctid AND {table}.xmin = new.xmin"
            f" RETURNING {table}.{key}"
        )
        # As one text: as an array, each quotation mark in it would be escaped in Python.
        new = json.dumps(
            [
                {"key": str(pk), "ctid": form.version[0], "xmin": form.version[1], "form": form.new}
                for pk, form in forms.items()
            ]
        )
        with connections[self.using].cursor() as cursor:
            cursor.execute(sql, [new])
            return {pk for (pk,) in cursor.fetchall()}

    def _write_each(self, forms: dict[Any, Form]) -> set[Any]:
        table, key, column = self._names()
        sql = f"UPDATE {table} SET {column} = %s WHERE {key} = %s AND CAST({column} AS text) = %s"
        connection, written = connections[self.using], set()
        with connection.cursor() as cursor:
            for pk, form in forms.items():
                stored = plain(self.model._meta.pk).get_db_prep_value(pk, connection)
                cursor.execute(sql, [form.new, stored, form.was])
                if cursor.rowcount:
                    written.add(pk)
        return written

    def _names(self) -> tuple[str, str, str]:
        meta: Any = self.model._meta
        quote = connections[self.using].ops.quote_name
        column = meta.get_field(self.action.column).column
        return quote(meta.db_table), quote(meta.pk.column), quote(column)


class RowVersion(Func):
    """A system column of PostgreSQL: `ctid` and `xmin` together name one version of one row, for as long as
    anybody could look; each change of the row, of whatever column, gives it others."""

    output_field = TextField()

    def __init__(self, key: Any, column: str) -> None:
        super().__init__(key)
        self.system = column

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> Any:
        key, _ = compiler.compile(self.get_source_expressions()[0])
        return f"{key.rpartition('.')[0]}.{self.system}::text", []
