"""Places of rows in an order of several columns, compared row-wise: (a, b) > (x, y).

An index on the same columns serves such a comparison as a whole; written with OR it serves hardly any.
"""

from typing import Any

from django.db.models import BooleanField, Func, Lookup, Value


class Row(Func):
    """A row value: (a, b)."""

    template = "(%(expressions)s)"
    output_field = BooleanField()  # only ever compared with another row


class Place(Value):
    """A value that is yet to be named: its parameter only stands for one."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return "%s", [self.value]


class After(Lookup):
    operator = ">"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        left, left_params = compiler.compile(self.lhs)
        right, right_params = compiler.compile(self.rhs)
        return f"{left} {self.operator} {right}", [*left_params, *right_params]


class Before(After):
    operator = "<"


class UpTo(After):
    operator = "<="
