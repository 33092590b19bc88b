"""How a run moves through a table: in keyset order, a few rows at a time, never with an offset that grows.

A walk only finds candidates, without locks; the batch judges each row again when it acts on it. It goes
on behind the last row *seen*, whatever became of that row, so that no row can hold it up. Positions are
compared in the database, by its own collation and precision, never in Python.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, F, Func, Lookup, QuerySet, Value

from session_cleanup.policies.claims import Claims
from session_cleanup.policies.policy import Policy

Position = tuple[Any, ...]
WINDOW = 20_000  # rows looked at by one statement of a selection that scans


class Row(Func):
    """A row value: (a, b)."""

    template = "(%(expressions)s)"
    output_field = BooleanField()  # only ever compared with another row


class After(Lookup):
    """Row-wise comparison, which an index on the same columns serves: (a, b) > (x, y)."""

    operator = ">"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        left, left_params = compiler.compile(self.lhs)
        right, right_params = compiler.compile(self.rhs)
        return f"{left} {self.operator} {right}", [*left_params, *right_params]


class UpTo(After):
    operator = "<="


@dataclass(frozen=True)
class Slice:
    """The keys a step found (of a whole window, or as many as asked for), where to go on from, and
    whether that was the last step."""

    keys: list[Any]
    end: Position | None
    last: bool


class KeysetWalk:
    """Walks the rows that match a policy in the order of (its column, primary key)."""

    name = "keyset"

    def __init__(self, policy: Policy, claims: Claims) -> None:
        self.policy = policy
        self.claims = claims
        meta = policy.get_model()._meta
        column: Any = meta.get_field(policy.select.column)
        self.fields = [column] if column.primary_key else [column, meta.pk]
        self.columns = [field.attname for field in self.fields]
        self.position: Position | None = None

    def step(self, size: int) -> Slice:
        """Find rows behind the position: the next `size`, or all of the next window of a selection that
        scans. Move on with `position = slice.end`."""
        rows = self._behind(self.policy.matching(self.claims)).order_by(*self.columns)
        if self.policy.select.scans:
            end = self._window_end()
            if end is not None:
                rows = rows.filter(UpTo(self._row(), self._values(end)))
            found = list(rows.values_list(*self.columns))
            return Slice([position[-1] for position in found], end, last=end is None)
        found = list(rows.values_list(*self.columns)[:size])
        end = found[-1] if found else self.position
        return Slice([position[-1] for position in found], end, last=len(found) < size)

    @staticmethod
    def saved(position: Position | None) -> list[Any] | None:
        """A position as JSON: numbers as they are, all else as text."""
        if position is None:
            return None
        return [value if isinstance(value, int) else str(value) for value in position]

    def _window_end(self) -> Position | None:
        """The position WINDOW rows further on; None when fewer are left."""
        column = self.columns[0]
        rows = self._behind(self.claims.candidates(self.policy.get_model()))
        rows = rows.filter(**{f"{column}__isnull": False}).order_by(*self.columns)
        return rows.values_list(*self.columns)[WINDOW - 1 : WINDOW].first()

    def _behind(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        if self.position is None:
            return rows
        return rows.filter(After(self._row(), self._values(self.position)))

    def _row(self) -> Row:
        return Row(*(F(column) for column in self.columns))

    def _values(self, position: Position) -> Row:
        pairs = zip(self.fields, position, strict=True)
        return Row(*(Value(value, output_field=_plain(field)) for field, value in pairs))


def _plain(field: Any) -> Any:
    """The field whose values these are: a foreign key holds those of its target."""
    while field.remote_field is not None:
        field = field.target_field
    return field
