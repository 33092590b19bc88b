"""Questions about the stored form of a document, asked in the database.

`payload__is_packed` and `payload__is_packable` may stand in the condition of an index: what they become has
no parameters and is the same in every query.
"""

from typing import Any, ClassVar

from django.db.models import Func, IntegerField, Lookup, TextField, Transform

from session_cleanup.packing.encrypted import MARKER
from session_cleanup.packing.envelope import ESCAPED, PREFIX


class AsStored(Func):
    """The text of a document exactly as the database holds it."""

    output_field = TextField()
    template = "CAST(%(expressions)s AS text)"


class StoredSize(Transform):
    """Bytes that a document takes in its row or beside it, as they are there: PostgreSQL may have compressed
    them."""

    lookup_name = "stored_size"
    output_field = IntegerField()
    function = "pg_column_size"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "length(CAST(%(expressions)s AS blob))"
        return super().as_sql(compiler, connection, template=template, **context)


# PostgreSQL expects such a CASE to hold for half of the rows. Of what is in it, it would expect one row in a
# hundred, and so read and sort all that meet it to find the first few.
GUESSED = "CASE WHEN {} IS NOT NULL THEN {} END"


class Within(Lookup):
    """Whether a size is one of a range, its ends included."""

    lookup_name = "within"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        left, params = compiler.compile(self.lhs)
        asked = f"{left} BETWEEN %s AND %s"
        if connection.vendor == "postgresql":
            asked, params = GUESSED.format(left, asked), [*params, *params]
        return f"({asked})", [*params, *self.rhs]


StoredSize.register_lookup(Within)


class Asked(Lookup):
    """A question about one document, which is `DOCUMENT` in what each database is asked."""

    prepare_rhs = False
    postgresql: ClassVar[str]
    sqlite: ClassVar[str]

    def get_prep_lookup(self) -> bool:
        if not isinstance(self.rhs, bool):
            raise ValueError(f"{self.lookup_name} is {self.rhs!r}. Ask for True or False.")
        return self.rhs

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        left, params = compiler.compile(self.lhs)
        question = self.sqlite
        if connection.vendor == "postgresql":
            question = GUESSED.format("DOCUMENT", self.postgresql)
        asked = f"({question.replace('DOCUMENT', left)})"
        return asked if self.rhs else f"NOT {asked}", [*params] * question.count("DOCUMENT")


class IsPacked(Asked):
    """Whether the document is packed."""

    lookup_name = "is_packed"
    postgresql = (
        "jsonb_typeof(DOCUMENT) = 'string'"
        f" AND starts_with(DOCUMENT #>> '{{}}', '{PREFIX}')"
        f" AND NOT starts_with(DOCUMENT #>> '{{}}', '{ESCAPED}')"
    )
    sqlite = (
        f"substr(DOCUMENT, 1, {len(PREFIX) + 1}) = '\"{PREFIX}'"
        f" AND substr(DOCUMENT, 1, {len(ESCAPED) + 1}) <> '\"{ESCAPED}'"
    )


class IsPackable(Asked):
    """Whether the document is an object or a list, and not encrypted."""

    lookup_name = "is_packable"
    postgresql = (
        "jsonb_typeof(DOCUMENT) IN ('object', 'array')"
        f" AND jsonb_typeof(DOCUMENT -> '{MARKER}') IS DISTINCT FROM 'string'"
    )
    sqlite = f"substr(DOCUMENT, 1, 1) IN ('{{', '[') AND json_type(DOCUMENT, '$.{MARKER}') IS NOT 'text'"


LOOKUPS = (IsPacked, IsPackable, StoredSize)
