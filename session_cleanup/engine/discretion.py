"""Keeps what rows contain out of errors, and so out of logs, tracebacks, reports and the history.

PostgreSQL quotes the row that a constraint refuses, and the value that it could not read. Such an error keeps
its type, its SQLSTATE and the names of what refused; its words stand in the server's own log.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import DatabaseError, connections

QUOTING = ("22", "23", "P0")  # data exceptions, violated constraints, and what triggers raise


@contextmanager
def discreet() -> Iterator[None]:
    """Errors of databases, of whichever, show no values meanwhile."""
    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(_quietly))
        yield


def _quietly(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    try:
        return execute(sql, params, many, context)
    except DatabaseError as error:
        cause: Any = error.__cause__
        state = getattr(cause, "sqlstate", None) or ""
        if state.startswith(QUOTING):
            error.args = cause.args = (_names(state, cause.diag),)
        raise


def _names(state: str, diag: Any) -> str:
    named = [diag.constraint_name, diag.column_name, diag.table_name]
    what = " of ".join(f'"{name}"' for name in named if name)
    return f"SQLSTATE {state}{what and ' from '}{what}; the server's log may say more"
