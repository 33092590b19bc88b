"""The cases: which table, how its rows are made, and the raw SQL that does the work."""

from dataclasses import dataclass

PAYLOAD = "x" * 150  # fills a row up to about 270 bytes
# A permutation of the numbers below a prime, with no pattern that blocks of rows could share: the
# same rows on every machine and on both databases. Due rows lie anywhere in the table.
PRIME = 1_000_000_007
SPREAD = f"((i + 500000000) * (i + 500000000) % {PRIME} * (i + 500000000) % {PRIME})"

OPEN_AND_DUE = "kind = 'collaborative' AND is_active AND expires_at < {now}"
AGED = "expires_at < {now}"
END = "is_active = false, ended_at = {now}, end_reason = 'expired'"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What must be shown: throughput beside the raw statement, and the worst wait we cause."""

    ratio: float
    wait_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One piece of work that several tools can do.

    table, job, due   what the writers aim at, our policy's name, and the condition as SQL
    raw               the statements (one transaction) that do the same work
    share             how many of the rows are due
    children          table and columns of the rows that belong to each row, two of them
    tools             who can do this, beside ours and the raw statement
    """

    name: str
    title: str
    table: str
    job: str
    model: str
    due: str
    raw: tuple[str, ...]
    share: float
    bar: Bar
    children: tuple[str, str, str] | None = None
    tools: tuple[str, ...] = ("queryset", "subquery")

    @property
    def updates(self) -> bool:
        return self.raw[-1].startswith("UPDATE")

    @property
    def digest(self) -> str:
        """What is left, as SQL: how many rows, which, and in which state."""
        state = "count(*), sum(id), sum(CASE WHEN is_active THEN id END), count(ended_at)"
        mine = f"SELECT {state} FROM {self.table}"
        if not self.children:
            return mine
        table, columns, _ = self.children
        second = columns.split(", ")[1]
        theirs = f"count(*), sum(id), sum(CAST({second} AS int) * id)"
        return f"SELECT * FROM ({mine}) AS mine, (SELECT {theirs} FROM {table}) AS theirs"


CASES = [
    Case(
        name="deactivate",
        title="deactivate 22 % of the rows",
        table="benchmarks_session",
        job="sessions",
        model="Session",
        due=OPEN_AND_DUE,
        raw=(f"UPDATE benchmarks_session SET {END} WHERE {OPEN_AND_DUE}",),
        share=0.22,
        bar=Bar(ratio=0.95, wait_ms=40),
    ),
    Case(
        name="delete",
        title="delete 44 %",
        table="benchmarks_cart",
        job="carts",
        model="Cart",
        due=AGED,
        raw=(f"DELETE FROM benchmarks_cart WHERE {AGED}",),
        share=0.44,
        bar=Bar(ratio=0.95, wait_ms=40),
    ),
    Case(
        name="cascade",
        title="delete 44 % with two children a row",
        table="benchmarks_order",
        job="orders",
        model="Order",
        due=AGED,
        raw=(
            f"DELETE FROM benchmarks_line WHERE order_id IN (SELECT id FROM benchmarks_order WHERE {AGED})",
            f"DELETE FROM benchmarks_order WHERE {AGED}",
        ),
        share=0.44,
        bar=Bar(ratio=0.95, wait_ms=60),
        children=("benchmarks_line", "order_id, amount, name", "i, 1, 'line of an order'"),
    ),
    Case(
        name="members",
        title="deactivate 22 % with two members a row set offline",
        table="benchmarks_room",
        job="rooms",
        model="Room",
        due=OPEN_AND_DUE,
        raw=(
            "UPDATE benchmarks_member SET is_online = false WHERE is_online AND room_id IN"
            f" (SELECT id FROM benchmarks_room WHERE {OPEN_AND_DUE})",
            f"UPDATE benchmarks_room SET {END} WHERE {OPEN_AND_DUE}",
        ),
        share=0.22,
        bar=Bar(ratio=0.85, wait_ms=60),
        children=("benchmarks_member", "room_id, is_online, name", "i, true, 'a member of it'"),
    ),
]
BY_NAME = {case.name: case for case in CASES}
