"""What a payload is, without a database: its one text, its digest, and whether it can be made sense of."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

OBJECTS = ("localStorage", "local_storage", "sessionStorage", "session_storage", "metadata")


@dataclass(frozen=True)
class Print:
    """The digest of a value (SHA-256, hex) and how many bytes it takes as compact JSON."""

    digest: str
    size: int

    @classmethod
    def of(cls, value: Any, encoder: type[json.JSONEncoder] | None = None) -> "Print":
        text = canonical(value, encoder)
        return cls(hashlib.sha256(text).hexdigest(), len(text))


def canonical(value: Any, encoder: type[json.JSONEncoder] | None = None) -> bytes:
    """The one text of all equal JSON values: compact, keys in order, whole numbers without a fraction.

    It is the same before a value is written and after it was read, from jsonb too, which forgets the
    order of keys and writes 1e2 as 100. RFC 8785 has the idea; its order of keys and its way with
    fractions are not kept.
    """
    plain = json.loads(json.dumps(value, cls=encoder), parse_float=_number)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


def is_browser_payload(value: Any) -> bool:
    """Whether a decoded value can be a browser session: an object, and the parts of it that are there and
    not null are of their kind."""
    if not isinstance(value, dict):
        return False
    there = {key: part for key, part in value.items() if part is not None}
    cookies, viewport = there.get("cookies", []), there.get("viewport", {})
    return (
        isinstance(cookies, list)
        and all(isinstance(cookie, dict) and cookie.keys() >= {"name", "value"} for cookie in cookies)
        and all(isinstance(there.get(name, {}), dict) for name in OBJECTS)
        and isinstance(viewport, dict)
        and all(type(side) in (int, float) for side in viewport.values())
    )
