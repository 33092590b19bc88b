"""Makes the rows of a case, in SQL: the same ones on every machine and in every repeat."""

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib.auth.models import User

from benchmarks.cases import Case

PAYLOAD = "x" * 170  # fills a row of `Aging` up to about 270 bytes
PARTS = 1_000_000
# A permutation of the numbers below a prime, without a pattern that neighbouring rows could share.
PRIME = 1_000_000_007
SPREAD = f"((i + 500000000) * (i + 500000000) % {PRIME} * (i + 500000000) % {PRIME})"


@dataclass(frozen=True)
class Making:
    """What is to be made, as pieces of SQL over a row's number `i`."""

    case: Case
    rows: int
    clustered: bool  # whether all due rows lie at the start of the table, or anywhere in it
    postgres: bool

    @property
    def due(self) -> str:
        place = f"(i * {PARTS} / {self.rows + 1})" if self.clustered else f"({SPREAD} % {PARTS})"
        return f"{place} < {round(self.case.share * PARTS)}"

    @property
    def clock(self) -> str:
        return f"CASE WHEN {self.due} THEN {self.moment(2024)} ELSE {self.moment(2100)} END"

    def moment(self, year: int) -> str:
        if self.postgres:
            return f"timestamptz '{year}-01-01 00:00Z' + {SPREAD} % 30000000 * interval '1 second'"
        return f"datetime('{year}-01-01', ({SPREAD} % 30000000) || ' seconds')"

    def numbers(self, last: int) -> str:
        if self.postgres:
            return f"generate_series(1::bigint, {last}) AS numbers(i)"
        counted = f"SELECT 1 AS i UNION ALL SELECT i + 1 FROM counted WHERE i < {last}"
        return f"(WITH RECURSIVE counted(i) AS ({counted}) SELECT i FROM counted) AS numbers"

    def into(self, table: str, **values: str) -> str:
        """An INSERT of all rows, each column with the SQL of its value."""
        listed = ", ".join(values.values())
        return f"INSERT INTO {table} ({', '.join(values)}) SELECT {listed} FROM {self.numbers(self.rows)}"


def fill(connection: Any, case: Case, rows: int, *, clustered: bool) -> None:
    making = Making(case, rows, clustered, connection.vendor == "postgresql")
    with connection.cursor() as cursor:
        if making.postgres:  # else it would look for the parent of each of millions of children
            cursor.execute("SET session_replication_role = replica")
        for statement in ROWS_OF[case.rows_of](making):
            cursor.execute(statement)
        cursor.execute("VACUUM (ANALYZE)" if making.postgres else "PRAGMA wal_checkpoint(TRUNCATE)")


def aging(making: Making) -> list[str]:
    """Rows of a table of ours, and two children for each where it has any."""
    statements = [
        making.into(
            making.case.table,
            id="i",
            kind="'collaborative'",
            is_active="true",
            expires_at=making.clock,
            created_at=making.moment(2022),
            end_reason="''",
            hits="0",
            payload=f"'{PAYLOAD}' || i",
        )
    ]
    if making.case.children:
        child = apps.get_model("benchmarks", making.case.children)
        parent, state = (field.column for field in child._meta.local_fields[1:3])
        statements.append(
            f"INSERT INTO {child._meta.db_table} (id, {parent}, {state}, name)"
            f" SELECT i, (i + 1) / 2, true, 'a child of that row' FROM {making.numbers(2 * making.rows)}"
        )
    return statements


def django_sessions(making: Making) -> list[str]:
    key = "lpad(i::text, 32, '0')"
    return [
        making.into("django_session", session_key=key, session_data=f"'{PAYLOAD}'", expire_date=making.clock)
    ]


def tokens(making: Making) -> list[str]:
    """Access tokens, a third of them with a refresh token; half of those that are over are revoked."""
    user = User.objects.create(username="somebody")
    application = apps.get_model("oauth2_provider.Application").objects.create(user=user)
    same = {
        "token": "i::text",
        "user_id": str(user.pk),
        "application_id": str(application.pk),
        "resource": "'[]'",
        "created": making.moment(2022),
        "updated": making.moment(2022),
    }
    access = {"token_checksum": "lpad(i::text, 64, '0')", "scope": "'read write'"}
    refresh = {"token_checksum": "lpad(i::text, 64, '0')", "access_token_id": "i"}
    revoked = f"CASE WHEN i % 6 = 0 AND {making.due} THEN {making.moment(2024)} END"
    return [
        making.into("oauth2_provider_accesstoken", id="i", expires=making.clock, **same, **access),
        making.into("oauth2_provider_refreshtoken", id="i", revoked=revoked, **same, **refresh)
        + " WHERE i % 3 = 0",
    ]


ROWS_OF = {maker.__name__: maker for maker in (aging, django_sessions, tokens)}
