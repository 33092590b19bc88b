"""What reading a packed document gives: an object like any other, that remembers its packed form.

Whether it was changed since, however deep inside, is found out when it is saved, by comparing what would be
written with what was packed. So nothing has to watch it, and nothing can be missed.
"""

from typing import Any


class PackedDict(dict[str, Any]):
    packed: str


class PackedList(list[Any]):
    packed: str


KINDS: dict[type, type[PackedDict] | type[PackedList]] = {dict: PackedDict, list: PackedList}


def remembering(value: Any, packed: str) -> Any:
    """`value`, with its packed form where it is an object or a list."""
    kind = KINDS.get(type(value))
    if kind is None:  # made by a decoder of the project's own
        return value
    found = kind(value)
    found.packed = packed
    return found
