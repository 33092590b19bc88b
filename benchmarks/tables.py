"""Makes the rows of a case, in SQL, the same on every machine."""

from typing import Any

from benchmarks.cases import PAYLOAD, SPREAD, Case

COLUMNS = "id, kind, is_active, expires_at, created_at, ended_at, end_reason, hits, payload"


def fill(connection: Any, case: Case, rows: int, layout: str) -> None:
    """`rows` rows, of which the case's share is due: anywhere in the table, or all in its first part."""
    postgres = connection.vendor == "postgresql"
    moment = moment_in_postgres if postgres else moment_in_sqlite
    place = SPREAD if layout == "spread" else f"(i * 1000000 / {rows + 1})"
    due = f"{place} % 1000000 < {round(case.share * 1_000_000)}"
    expires = f"CASE WHEN {due} THEN {moment(2024)} ELSE {moment(2100)} END"
    values = f"i, 'collaborative', true, {expires}, {moment(2022)}, NULL, '', 0, '{PAYLOAD}' || i"
    with connection.cursor() as cursor:
        if postgres:  # two million checks that a parent exists would take minutes
            cursor.execute("SET session_replication_role = replica")
        cursor.execute(f"INSERT INTO {case.table} ({COLUMNS}) SELECT {values} FROM {numbers(postgres, rows)}")
        if case.children:
            table, columns, values = case.children
            cursor.execute(
                f"INSERT INTO {table} (id, {columns}) SELECT j, {values}"
                f" FROM (SELECT i AS j, (i + 1) / 2 AS i FROM {numbers(postgres, 2 * rows)}) AS pairs"
            )
        if postgres:
            cursor.execute("RESET session_replication_role")
            cursor.execute("VACUUM (ANALYZE)")


def numbers(postgres: bool, last: int) -> str:
    if postgres:
        return f"generate_series(1::bigint, {last}) AS numbers(i)"
    counted = f"SELECT 1 AS i UNION ALL SELECT i + 1 FROM counted WHERE i < {last}"
    return f"(WITH RECURSIVE counted(i) AS ({counted}) SELECT i FROM counted) AS numbers"


def moment_in_postgres(year: int) -> str:
    return f"timestamptz '{year}-01-01 00:00Z' + {SPREAD} % 30000000 * interval '1 second'"


def moment_in_sqlite(year: int) -> str:
    return f"datetime('{year}-01-01', ({SPREAD} % 30000000) || ' seconds')"
