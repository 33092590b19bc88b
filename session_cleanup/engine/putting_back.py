"""The SQL that puts the rows of an undo set back into their table.

Values go from record to row as the database wrote them; no code of the project sees them, no default and
no auto_now touches them. Nothing here overwrites a row: an INSERT passes over what is in its way, and an
UPDATE takes only rows that still are as the job left them.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connections

from session_cleanup.engine.columns import quoted, quoted_table
from session_cleanup.engine.records import Records, Row
from session_cleanup.engine.rowtext import Undecodable, Value


class Target(Records):
    """The table that the rows of a set go back to, and how they get there."""

    def insert(self, rows: Sequence[Row]) -> set[str]:
        """Insert what nothing is in the way of; the keys of these."""
        names = [*self.names, *self.emptied]
        into = f"INSERT INTO {self._table} ({', '.join(map(quoted, names))})"
        if self.postgresql:
            empty = [f"%s::{self.columns[name].type}" for name in self.emptied]
            values = ", ".join([*self._given(range(len(self.names))), *empty])
            sql = (
                f"{into} OVERRIDING SYSTEM VALUE SELECT {values} "
                f"FROM jsonb_array_elements(%s::jsonb) given(r) "
                f"ON CONFLICT DO NOTHING RETURNING {self._key_text}"
            )
            return self._keys(sql, [*map(str, self.emptied.values()), _as_json(rows)])
        done = set()
        for row in rows:
            values = ", ".join(map(_placeholder, [*row.values, *self.emptied.values()]))
            sql = f"{into} VALUES ({values}) ON CONFLICT DO NOTHING"
            if self._count(sql, [*row.values, *self.emptied.values()]):
                done.add(row.key)
        return done

    def update(self, rows: Sequence[Row]) -> set[str]:
        """Give rows their old values where they still have those that the job wrote; the keys of these."""
        changed = self.names[1:]
        if not changed:  # all was secret, and nothing of it is known
            return {row.key for row in rows}
        if self.postgresql:
            pairs = zip(changed, self._given(range(1, len(changed) + 1)), strict=True)
            sets = ", ".join(f"{quoted(name)} = {value}" for name, value in pairs)
            sql = (
                f"UPDATE {self._table} SET {sets} FROM jsonb_array_elements(%s::jsonb) given(r) "
                f"WHERE {self._still_after} RETURNING {self._key_text}"
            )
            return self._keys(sql, [_as_json(rows)])
        done = set()
        for row in rows:
            before, after = row.values[1 : len(changed) + 1], row.values[len(changed) + 1 :]
            sets = ", ".join(
                f"{quoted(name)} = {_placeholder(value)}" for name, value in zip(changed, before, strict=True)
            )
            sql = f"UPDATE {self._table} SET {sets} WHERE {self._is(after)}"
            if self._count(sql, [*before, row.values[0], *after]):
                done.add(row.key)
        return done

    def unlink(self, rows: Sequence[Row], field: Any) -> None:
        """Take a reference away again."""
        sql = f"UPDATE {self._table} SET {quoted(field.column)} = NULL WHERE {self._among}"
        self._count(sql, [self._as_list(rows)])

    def having(self, rows: Sequence[Row], *, after: bool) -> set[str]:
        """The keys of those rows of a change that have the values of after it, or of before it."""
        count = len(self.names) - 1
        place = count + 1 if after else 1
        if self.postgresql:
            same = self._still_after if after else self._still(1)
            sql = (
                f"SELECT {self._key_text} FROM {self._table}, jsonb_array_elements(%s::jsonb) given(r) "
                f"WHERE {same}"
            )
            return self._keys(sql, [_as_json(rows)])
        found = set()
        for row in rows:
            values = row.values[place : place + count]
            sql = f"SELECT {self._key_text} FROM {self._table} WHERE {self._is(values)}"
            found |= self._keys(sql, [row.values[0], *values])
        return found

    def existing(self, rows: Sequence[Row]) -> set[str]:
        sql = f"SELECT {self._key_text} FROM {self._table} WHERE {self._among}"
        return self._keys(sql, [self._as_list(rows)])

    def dangling(self, rows: Sequence[Row], field: Any) -> set[str]:
        """The keys of those rows whose reference leads nowhere."""
        column = f"{self._table}.{quoted(field.column)}"
        target = field.target_field
        parent, key = quoted_table(target.model._meta.db_table, self.using), quoted(target.column)
        sql = (
            f"SELECT {self._key_text} FROM {self._table} WHERE {self._among} AND {column} IS NOT NULL "
            f"AND NOT EXISTS (SELECT 1 FROM {parent} parent WHERE parent.{key} = {column})"
        )
        return self._keys(sql, [self._as_list(rows)])

    def move_sequences(self) -> None:
        """Let no number be given out again that a restored row has; none moves back."""
        for each in self.columns.values():
            if each.sequence:
                with connections[self.using].cursor() as cursor:
                    cursor.execute(
                        f"SELECT setval(%s, most) FROM {each.sequence.replace('%', '%%')}, "
                        f"(SELECT max({quoted(each.name)}) AS most FROM {self._table}) found "
                        "WHERE most > last_value",
                        [each.sequence],
                    )

    # SQL

    @property
    def _table(self) -> str:
        return quoted_table(self.model._meta.db_table, self.using)

    @property
    def _key(self) -> str:
        return f"{self._table}.{quoted(self.names[0])}"

    @property
    def _key_text(self) -> str:
        return self._text(self._key) if self.postgresql else f"CAST({self._key} AS text)"

    @property
    def _among(self) -> str:
        if self.postgresql:
            return f"{self._key} = ANY(%s::text[]::{self.columns[self.names[0]].type}[])"
        return f"{self._key} IN (SELECT value FROM json_each(%s))"

    def _as_list(self, rows: Sequence[Row]) -> Any:
        """The keys, for `_among`."""
        return [row.key for row in rows] if self.postgresql else json.dumps([row.values[0] for row in rows])

    def _given(self, places: Iterable[int]) -> list[str]:
        """The values of a record as their columns have them."""
        types = [self.columns[name].type for name in self.names]
        types += types[1:]
        return [f"(r->>{place})::{types[place]}" for place in places]

    @property
    def _still_after(self) -> str:
        return self._still(len(self.names))

    def _still(self, first: int) -> str:
        """That a row has the values that stand in its record from that place on."""
        same = [f"{self._key} = {self._given([0])[0]}"]
        for place, name in enumerate(self.names[1:], first):
            column = f"{self._table}.{quoted(name)}"
            same.append(
                f"CASE WHEN {column} IS NOT NULL THEN {self._text(column)} END "
                f"IS NOT DISTINCT FROM r->>{place}"
            )
        return " AND ".join(same)

    def _is(self, values: Sequence[Value]) -> str:
        """The same for SQLite, whose values are known here."""
        pairs = zip(self.names[1:], values, strict=True)
        return " AND ".join(
            [f"{self._key} = %s", *(f"{quoted(name)} IS {_placeholder(value)}" for name, value in pairs)]
        )

    @staticmethod
    def _text(column: str) -> str:
        """As a record has it: what the output function of the type gives, padding and all."""
        return f"format('%%s', {column})"

    def _keys(self, sql: str, params: Sequence[Any]) -> set[str]:
        with connections[self.using].cursor() as cursor:
            cursor.execute(sql, params)
            return {key for (key,) in cursor.fetchall()}

    def _count(self, sql: str, params: Sequence[Any]) -> int:
        with connections[self.using].cursor() as cursor:
            cursor.execute(sql, params)
            return int(cursor.rowcount)


def _as_json(rows: Sequence[Row]) -> str:
    return json.dumps([row.values for row in rows])


def _placeholder(value: Value) -> str:
    return "CAST(%s AS text)" if isinstance(value, Undecodable) else "%s"
