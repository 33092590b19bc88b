"""The cases: which rows, what is due among them, and the raw SQL that does the work.

Plain data: every process of a run reads it, with or without Django.
"""

from dataclasses import dataclass, field
from typing import Literal

Database = Literal["postgresql", "sqlite"]

OPEN_AND_DUE = "kind = 'collaborative' AND is_active AND expires_at < {now}"
AGED = "expires_at < {now}"
END = "is_active = false, ended_at = {now}, end_reason = 'expired'"
# What is left of a table, in one row: how many rows, which of them, and in which state.
STATE = "count(*), sum(id), sum(CASE WHEN is_active THEN id END), count(ended_at)"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What must be shown: speed beside the raw statement (or beside another tool), and the worst wait."""

    ratio: float
    wait_ms: int
    times: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One piece of work that several tools can do.

    model, table   what is cleaned; `rows_of` names the function of benchmarks.rows that fills it
    share          how much of it is due
    due, clock     when a row is due, as SQL, and the column that says so
    jobs           our policies that do it
    raw            the statements that do the same, in one transaction
    digest         SQL for one row that is the same when the same work was done
    tools          who else does it
    waited_for     those of them that are also measured beside writers; None: all
    part           its rows, as a share of --rows
    key, touch     for other writers: the primary key, and how they change a row
    clock_indexed  whether they can follow the clock
    """

    name: str
    title: str
    model: str
    table: str
    rows_of: str
    share: float
    due: str
    jobs: tuple[str, ...]
    raw: tuple[str, ...]
    digest: str
    tools: tuple[str, ...]
    waited_for: tuple[str, ...] | None = None
    bar: Bar | None = None
    part: float = 1
    clock: str = "expires_at"
    clock_indexed: bool = True
    key: str = "id"
    touch: str = "hits = hits + 1"
    children: str = ""
    database: Database = "postgresql"

    @property
    def updates(self) -> bool:
        return self.raw[-1].startswith("UPDATE")

    def key_of(self, number: int) -> int | str:
        """The primary key of the row of that number."""
        return number if self.key == "id" else f"{number:032}"


DEACTIVATE = Case(
    name="deactivate",
    title="deactivate 22 %",
    model="benchmarks.Session",
    table="benchmarks_session",
    rows_of="aging",
    share=0.22,
    due=OPEN_AND_DUE,
    jobs=("expired-sessions",),
    raw=(f"UPDATE benchmarks_session SET {END} WHERE {OPEN_AND_DUE}",),
    digest=f"SELECT {STATE} FROM benchmarks_session",
    tools=("queryset", "subquery", "data_purger"),
    bar=Bar(ratio=0.95, wait_ms=40),
)
DELETE = Case(
    name="delete",
    title="delete 44 %",
    model="benchmarks.Cart",
    table="benchmarks_cart",
    rows_of="aging",
    share=0.44,
    due=AGED,
    jobs=("old-carts",),
    raw=(f"DELETE FROM benchmarks_cart WHERE {AGED}",),
    digest=f"SELECT {STATE} FROM benchmarks_cart",
    tools=("queryset", "subquery", "data_purger", "db_purge"),
    bar=Bar(ratio=0.95, wait_ms=40),
)
KEPT = "INSERT INTO session_cleanup_undorecord (set_id, expires_at, data) SELECT 0, {now}, data FROM "
UNDO = Case(
    name="undo",
    title="delete 44 %, with undo",
    model="benchmarks.Cart",
    table="benchmarks_cart",
    rows_of="aging",
    share=0.44,
    due=AGED,
    jobs=("old-carts-kept",),
    raw=(
        f"WITH gone AS (DELETE FROM benchmarks_cart WHERE {AGED} RETURNING benchmarks_cart::text AS data)"
        f" {KEPT} gone",
    ),
    digest=f"SELECT * FROM (SELECT {STATE} FROM benchmarks_cart) AS carts,"
    " (SELECT count(*) FROM session_cleanup_undorecord) AS records",
    tools=(),
    bar=Bar(ratio=0.9, wait_ms=60),
)
CASCADE = Case(
    name="cascade",
    title="delete 44 % with two children a row",
    model="benchmarks.Order",
    table="benchmarks_order",
    rows_of="aging",
    share=0.44,
    due=AGED,
    jobs=("old-orders",),
    # Faster than one statement with a CTE, and than DELETE … USING.
    raw=(
        f"DELETE FROM benchmarks_line WHERE order_id IN (SELECT id FROM benchmarks_order WHERE {AGED})",
        f"DELETE FROM benchmarks_order WHERE {AGED}",
    ),
    digest=f"SELECT * FROM (SELECT {STATE} FROM benchmarks_order) AS parents,"
    " (SELECT count(*), sum(id), sum(order_id) FROM benchmarks_line) AS children",
    tools=("queryset", "subquery"),  # minutes each; to the other two it is what `delete` is
    waited_for=("subquery",),
    children="Line",
    bar=Bar(ratio=0.95, wait_ms=60, times={"subquery": 4}),
)
UNDO_CASCADE = Case(
    name="undo-cascade",
    title="delete 44 % with two children a row, with undo",
    model="benchmarks.Order",
    table="benchmarks_order",
    rows_of="aging",
    share=0.44,
    due=AGED,
    jobs=("old-orders-kept",),
    raw=(
        "WITH gone AS (DELETE FROM benchmarks_line"
        f" WHERE order_id IN (SELECT id FROM benchmarks_order WHERE {AGED})"
        f" RETURNING benchmarks_line::text AS data) {KEPT} gone",
        f"WITH gone AS (DELETE FROM benchmarks_order WHERE {AGED} RETURNING benchmarks_order::text AS data)"
        f" {KEPT} gone",
    ),
    digest=f"SELECT * FROM (SELECT {STATE} FROM benchmarks_order) AS parents,"
    " (SELECT count(*), sum(id), sum(order_id) FROM benchmarks_line) AS children,"
    " (SELECT count(*) FROM session_cleanup_undorecord) AS records",
    tools=(),
    children="Line",
    bar=Bar(ratio=0.9, wait_ms=60),
)
MEMBERS = Case(
    name="members",
    title="deactivate 22 %, two members a row set offline",
    model="benchmarks.Room",
    table="benchmarks_room",
    rows_of="aging",
    share=0.22,
    due=OPEN_AND_DUE,
    jobs=("expired-rooms",),
    raw=(
        "UPDATE benchmarks_member SET is_online = false WHERE is_online AND room_id IN"
        f" (SELECT id FROM benchmarks_room WHERE {OPEN_AND_DUE})",
        f"UPDATE benchmarks_room SET {END} WHERE {OPEN_AND_DUE}",
    ),
    digest=f"SELECT * FROM (SELECT {STATE} FROM benchmarks_room) AS rooms,"
    " (SELECT count(*), sum(CASE WHEN is_online THEN id END) FROM benchmarks_member) AS members",
    tools=("queryset", "subquery"),
    waited_for=("subquery",),
    children="Member",
    bar=Bar(ratio=0.85, wait_ms=60),
)
SPARSE = Case(
    name="sparse",
    title="deactivate 0.6 %, indexed",
    model="benchmarks.Session",
    table="benchmarks_session",
    rows_of="aging",
    share=0.006,
    due=OPEN_AND_DUE,
    jobs=("expired-sessions",),
    raw=DEACTIVATE.raw,
    digest=DEACTIVATE.digest,
    tools=("queryset", "subquery", "data_purger"),
    bar=Bar(ratio=0.6, wait_ms=40),
)
CLEARSESSIONS = Case(
    name="clearsessions",
    title="django_session, delete 44 %",
    model="sessions.Session",
    table="django_session",
    rows_of="django_sessions",
    share=0.44,
    due="expire_date < {now}",
    jobs=("expired-django-sessions",),
    raw=("DELETE FROM django_session WHERE expire_date < {now}",),
    digest="SELECT count(*), sum(hashtextextended(session_key, 0)::numeric) FROM django_session",
    tools=("clearsessions", "db_purge"),
    part=1 / 3,
    clock="expire_date",
    key="session_key",
    touch="session_data = session_data",
)
CLEARTOKENS = Case(
    name="cleartokens",
    title="tokens of django-oauth-toolkit",
    model="oauth2_provider.AccessToken",
    table="oauth2_provider_accesstoken",
    rows_of="tokens",
    share=0.44,
    due="expires < {now}",
    jobs=("revoked-tokens", "expired-tokens"),
    raw=(
        "DELETE FROM oauth2_provider_refreshtoken WHERE revoked <= {now}",
        "DELETE FROM oauth2_provider_accesstoken AS access WHERE expires < {now} AND NOT EXISTS"
        " (SELECT FROM oauth2_provider_refreshtoken WHERE access_token_id = access.id)",
    ),
    digest="SELECT * FROM (SELECT count(*), sum(id) FROM oauth2_provider_accesstoken) AS access,"
    " (SELECT count(*), sum(id) FROM oauth2_provider_refreshtoken) AS refresh",
    tools=("cleartokens",),
    part=1 / 10,
    clock="expires",
    clock_indexed=False,
    touch="updated = now()",
)
SQLITE = Case(
    name="sqlite",
    title="SQLite: delete 50 % while another process writes",
    model="benchmarks.Cart",
    table="benchmarks_cart",
    rows_of="aging",
    share=0.5,
    due=AGED,
    jobs=("old-carts",),
    raw=DELETE.raw,
    digest=DELETE.digest,
    tools=("queryset", "subquery"),
    part=1 / 5,
    database="sqlite",
    bar=Bar(ratio=0.6, wait_ms=110),
)
CASES = {
    case.name: case
    for case in (
        DEACTIVATE,
        DELETE,
        UNDO,
        CASCADE,
        UNDO_CASCADE,
        MEMBERS,
        SPARSE,
        CLEARSESSIONS,
        CLEARTOKENS,
        SQLITE,
    )
}
