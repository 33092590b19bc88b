"""What SQLite says of its own tables."""

import re
from contextlib import suppress
from typing import Any

from django.db import OperationalError, connections

from session_cleanup.doctor.catalog import Catalog, Index, Plan, Reference, Space, Table
from session_cleanup.doctor.looking import ask

PRIMARY_KEY = "the primary key"
SORT = "USE TEMP B-TREE FOR ORDER BY"
EVENT = re.compile(r"\b(DELETE|INSERT|UPDATE)\b(?:\s+OF\b.*?)?\s+ON\b", re.IGNORECASE | re.DOTALL)
SYNCHRONOUS = ("off", "normal", "full", "extra")


class SqliteCatalog(Catalog):
    def table(self, name: str) -> Table | None:
        found = ask(self.using, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        known = {each.lower(): each for (each,) in found}
        return Table(known[name.lower()], known[name.lower()]) if name.lower() in known else None

    def explain(self, sql: str, params: Any, table: Table, *, by_index: bool = False) -> Plan:
        plan = self._explain(sql, params, table)
        if by_index and not plan.walks:
            quote = connections[self.using].ops.quote_name
            start = f"FROM {quote(table.name)}"
            for index in self.indexes(table)[:-1]:
                with suppress(OperationalError):  # no query solution
                    told = sql.replace(start, f"{start} INDEXED BY {quote(index.name)}", 1)
                    better = self._explain(told, params, table)
                    if better.walks:
                        return better
        return plan

    def _explain(self, sql: str, params: Any, table: Table) -> Plan:
        rows = ask(self.using, f"EXPLAIN QUERY PLAN {sql}", params)
        depths = {0: -1}
        lines = []
        for key, parent, _, detail in rows:
            depths[key] = depths[parent] + 1
            lines.append(f"{'  ' * depths[key]}{detail}")
        read = re.compile(rf"(?:SEARCH|SCAN) (?:TABLE )?{re.escape(table.name)}\b(.*)")
        how = next((found[1] for line in lines if (found := read.search(line))), "")
        named = re.search(r"USING (?:COVERING )?INDEX (\S+)", how)
        index = named[1] if named else PRIMARY_KEY if "PRIMARY KEY" in how else None
        return Plan(tuple(lines), index, sorts=SORT in [line.strip() for line in lines])

    def indexes(self, table: Table) -> list[Index]:
        found = [
            Index(name, self._columns_of(name), condition=self._condition_of(name) if partial else "")
            for _, name, _, _, partial in self._pragma("index_list", table.name)
        ]
        keys = [(place, column) for _, column, _, _, _, place in self._columns(table) if place]
        return [*found, Index(PRIMARY_KEY, tuple(column for _, column in sorted(keys)))]

    def references(self, table: Table) -> list[Reference]:
        found = []
        for (name,) in ask(self.using, "SELECT name FROM sqlite_master WHERE type = 'table'"):
            columns: dict[int, list[str]] = {}
            for number, _, target, column, *_ in self._pragma("foreign_key_list", name):
                if target.lower() == table.name.lower():
                    columns.setdefault(number, []).append(column)
            found += [Reference("", Table(name, name), tuple(each)) for each in columns.values()]
        return found

    def triggers(self, table: Table, event: str) -> list[str]:
        sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(%s)"
        found = ask(self.using, sql, [table.name])
        return [name for name, text in found if (on := EVENT.search(text)) and on[1].upper() == event]

    def settings(self) -> dict[str, str]:
        [(mode,)] = self._pragma("journal_mode")
        [(level,)] = self._pragma("synchronous")
        [(timeout,)] = self._pragma("busy_timeout")
        return {"journal_mode": mode, "synchronous": SYNCHRONOUS[level], "busy_timeout": str(timeout)}

    def file(self) -> Space | None:
        [(page,)] = self._pragma("page_size")
        [(pages,)] = self._pragma("page_count")
        [(free,)] = self._pragma("freelist_count")
        return Space(pages * page, free * page, "as the file's list of free pages says")

    def _columns(self, table: Table) -> list[tuple[Any, ...]]:
        return self._pragma("table_info", table.name)

    def _columns_of(self, index: str) -> tuple[str | None, ...]:
        return tuple(column for _, _, column in self._pragma("index_info", index))

    def _condition_of(self, index: str) -> str:
        [(sql,)] = ask(
            self.using, "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = %s", [index]
        )
        return re.split(r"\bWHERE\b", sql, maxsplit=1, flags=re.IGNORECASE)[-1].strip()

    def _pragma(self, name: str, argument: str | None = None) -> list[tuple[Any, ...]]:
        of = "" if argument is None else f"({connections[self.using].ops.quote_name(argument)})"
        return ask(self.using, f"PRAGMA {name}{of}")
