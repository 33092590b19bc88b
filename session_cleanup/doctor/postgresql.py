"""What PostgreSQL says of its own tables."""

from collections.abc import Iterator
from typing import Any

from django.db import connections
from django.db.models import F, Lookup

from session_cleanup.doctor.catalog import (
    DELETE,
    Catalog,
    DeadRows,
    Index,
    Plan,
    Reference,
    Sample,
    Space,
    Table,
)
from session_cleanup.doctor.looking import ask, looking

LARGE = 200_000  # rows of a table that is sampled rather than counted
SAMPLE = 30_000  # rows in a sample
ROW_HEAD = 28  # bytes of a row besides its columns: line pointer and header
# So that the plan shows what the indexes can do, not what is quickest while the table is small.
KEEP_TO_INDEXES = [f"SET LOCAL enable_{way} = off" for way in ("seqscan", "bitmapscan", "sort")]
EVENT_BITS = {DELETE: 8, "UPDATE": 16}  # of pg_trigger.tgtype
SETTINGS = (
    "default_transaction_isolation",
    "default_transaction_read_only",
    "statement_timeout",
)

TABLE = "SELECT oid, oid::regclass::text FROM pg_class WHERE oid = to_regclass(%s)"
INDEXES = """
SELECT c.relname, i.indisvalid AND i.indisready, coalesce(pg_get_expr(i.indpred, i.indrelid), ''),
    ARRAY(
        SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.place <= i.indnkeyatts ORDER BY k.place
    )
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam
WHERE i.indrelid = %s AND am.amname IN ('btree', 'hash') ORDER BY c.relname
"""
REFERENCES = """
SELECT con.conname, con.conrelid, con.conrelid::regclass::text,
    ARRAY(
        SELECT a.attname::text FROM unnest(con.conkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.attnum ORDER BY k.place
    )
FROM pg_constraint con
WHERE con.contype = 'f' AND con.confrelid = %s AND con.conparentid = 0 ORDER BY con.conname
"""
TRIGGERS = """
SELECT tgname FROM pg_trigger
WHERE NOT tgisinternal AND tgenabled <> 'D' AND tgrelid = %s AND tgtype & %s <> 0 ORDER BY tgname
"""
DEAD_ROWS = """
SELECT s.n_live_tup, s.n_dead_tup, greatest(s.last_vacuum, s.last_autovacuum),
    current_setting('autovacuum')::boolean AND coalesce(
        (SELECT option_value::boolean FROM pg_options_to_table(c.reloptions)
         WHERE option_name = 'autovacuum_enabled'), true)
FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid WHERE s.relid = %s
"""
# The width of a row as ANALYZE found it. What is kept beside the table (TOAST) counts on neither side.
SPACE = """
SELECT pg_relation_size(c.oid), s.n_live_tup,
    (SELECT sum(avg_width * (1 - null_frac)) FROM pg_stats p
     WHERE (p.schemaname, p.tablename) = (s.schemaname, s.relname) AND NOT p.inherited),
    coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions)
              WHERE option_name = 'fillfactor'), 100)
FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid WHERE s.relid = %s
"""
PGSTATTUPLE = """
SELECT p.oid::regproc::text FROM pg_proc p
JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid
WHERE e.extname = 'pgstattuple' AND p.proname = 'pgstattuple_approx'
    AND has_function_privilege(p.oid, 'EXECUTE')
"""


class InSample(Lookup):
    """The row lies in some per cent of the blocks of its table, which are always the same."""

    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        left, params = compiler.compile(self.lhs)
        alias = left.rpartition(".")[0]
        table = connection.ops.quote_name(self.lhs.target.model._meta.db_table)
        sample = f"SELECT ctid FROM {table} TABLESAMPLE SYSTEM (%s) REPEATABLE (0)"
        return f"{alias}.ctid = ANY(ARRAY({sample}))", [*params, self.rhs]


class PostgresCatalog(Catalog):
    concurrently = True

    def table(self, name: str) -> Table | None:
        quoted = connections[self.using].ops.quote_name(name)
        found = ask(self.using, TABLE, [quoted])
        return Table(*found[0]) if found else None

    def explain(self, sql: str, params: Any, table: Table, *, by_index: bool = False) -> Plan:
        with looking(self.using) as cursor:
            for setting in KEEP_TO_INDEXES if by_index else []:
                cursor.execute(setting)
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
            root = cursor.fetchone()[0][0]["Plan"]
        alias = table.name.rpartition(".")[2].strip('"')
        way = next((way for way in _ways(root) if way[-1].get("Alias") == alias), [root])
        return Plan(
            lines=tuple(_lines(root)),
            index=way[-1].get("Index Name"),
            sorts=any(node["Node Type"] == "Sort" for node in way),
        )

    def indexes(self, table: Table) -> list[Index]:
        return [
            Index(name, tuple(columns), is_valid, condition)
            for name, is_valid, condition, columns in ask(self.using, INDEXES, [table.key])
        ]

    def references(self, table: Table) -> list[Reference]:
        return [
            Reference(name, Table(key, written), tuple(columns))
            for name, key, written, columns in ask(self.using, REFERENCES, [table.key])
        ]

    def triggers(self, table: Table, event: str) -> list[str]:
        return [name for (name,) in ask(self.using, TRIGGERS, [table.key, EVENT_BITS[event]])]

    def settings(self) -> dict[str, str]:
        # What a transaction of ours sets for itself is not asked about: reset_val is the session's own.
        sql = "SELECT name, reset_val FROM pg_settings WHERE name = ANY(%s)"
        found = dict(ask(self.using, sql, [list(SETTINGS)]))
        [(standby,)] = ask(self.using, "SELECT pg_is_in_recovery()")
        return {**found, "in_recovery": "on" if standby else "off"}

    def dead_rows(self, table: Table) -> DeadRows | None:
        return next((DeadRows(*row) for row in ask(self.using, DEAD_ROWS, [table.key])), None)

    def space(self, table: Table) -> Space | None:
        for (function,) in ask(self.using, PGSTATTUPLE):
            columns = "table_len, approx_free_space + dead_tuple_len"
            [(size, unused)] = ask(self.using, f"SELECT {columns} FROM {function}(%s::regclass)", [table.key])
            return Space(size, int(unused), "as pgstattuple_approx measured it")
        for size, live, width, fill in ask(self.using, SPACE, [table.key]):
            if width is None:  # never analyzed
                return None
            needed = live * (ROW_HEAD + -(-int(width) // 8) * 8) * 100 / fill
            return Space(size, max(0, int(size - needed)), "estimated from the average width of its rows")
        return None

    def sample(self, table: Table) -> Sample | None:
        kind = "SELECT relkind = 'r' AND NOT relhassubclass FROM pg_class WHERE oid = %s"
        if not ask(self.using, kind, [table.key])[0][0]:
            return None  # a row's place is its own only in a plain table
        [(plan,)] = ask(self.using, f"EXPLAIN (FORMAT JSON) SELECT FROM {table.name}")
        rows = plan[0]["Plan"]["Plan Rows"]
        if rows < LARGE:
            return None
        return Sample(rows, InSample(F("pk"), 100 * SAMPLE / rows))


def _ways(node: dict[str, Any], above: tuple[Any, ...] = ()) -> Iterator[list[dict[str, Any]]]:
    """The way from the root to each node of a plan."""
    way = [*above, node]
    yield way
    for child in node.get("Plans", []):
        yield from _ways(child, tuple(way))


def _lines(node: dict[str, Any], depth: int = 0) -> Iterator[str]:
    index = f" using {node['Index Name']}" if "Index Name" in node else ""
    table = f" on {node['Relation Name']}" if "Relation Name" in node else ""
    yield f"{'  ' * depth}{node['Node Type']}{index}{table} (about {node['Plan Rows']:.0f} rows)"
    for child in node.get("Plans", []):
        yield from _lines(child, depth + 1)
