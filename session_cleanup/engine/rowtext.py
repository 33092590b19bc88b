"""A row as text, losing nothing: how undo records are written and read.

On PostgreSQL it is the text of a composite value, which the database makes of a row faster than anything
else, with each column as the output function of its type writes it: to_jsonb would lose the minus of a
zero, the order of the keys of json and the bounds of arrays. On SQLite it is a JSON array; numbers that
are whole, texts and NULL stand for themselves, and what JSON cannot hold is marked.
"""

import base64
import json
import re
from collections.abc import Sequence
from typing import Any

Value = str | int | float | bytes | None
# What makes PostgreSQL write a value so that it reads back as the same one. Of the time zone nothing is
# said: a time is written with its offset, and a condition may depend on the zone of the session.
LOSSLESS = (
    "SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; "
    "SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'"
)
ITEM = re.compile(r'("(?:[^"\\]++|""|\\\\)*+"|[^",()\\]*+)[,)]')
DOUBLED = re.compile(r'(["\\])\1')


class Undecodable(bytes):
    """A text of SQLite that is no UTF-8."""


def parse_composite(text: str) -> list[str | None]:
    """The columns of a composite value; NULL, which is None, is what nothing at all stands for."""
    return [_value(item) if item else None for item in ITEM.findall(text, 1)]


def _value(item: str) -> str:
    if item[0] != '"':
        return item
    plain = item[1:-1]
    return DOUBLED.sub(r"\1", plain) if '"' in plain or "\\" in plain else plain


def format_composite(values: list[str | None]) -> str:
    return "(" + ",".join("" if value is None else _quoted(value) for value in values) + ")"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '""') + '"'


def dump_typed(values: Sequence[Value]) -> str:
    return json.dumps([marked(value) for value in values], ensure_ascii=False, separators=(",", ":"))


def load_typed(text: str) -> list[Value]:
    return [_unmarked(value) for value in json.loads(text)]


def marked(value: Value) -> Any:
    """As JSON can hold it."""
    if isinstance(value, float):
        return {"real": value.hex()}
    if isinstance(value, Undecodable):
        return {"text": base64.b64encode(value).decode()}
    if isinstance(value, bytes):
        return {"blob": base64.b64encode(value).decode()}
    return value


def _unmarked(value: Any) -> Value:
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]
    ((kind, written),) = value.items()
    if kind == "real":
        return float.fromhex(written)
    plain = base64.b64decode(written)
    return Undecodable(plain) if kind == "text" else plain


def as_read(raw: bytes) -> str | Undecodable:
    """What to read a text of SQLite as."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Undecodable(raw)
