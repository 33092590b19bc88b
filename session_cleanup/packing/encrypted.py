"""Documents that a project has encrypted itself. They are opaque: never packed, and never looked into."""

from typing import Any

MARKER = "encrypted"
BEGINNING = "enc:"


def is_encrypted(document: Any) -> bool:
    """Whether it is `{"encrypted": "<text>"}`, with or without other keys, or a string that begins "enc:"."""
    if isinstance(document, dict):
        return isinstance(document.get(MARKER), str)
    return isinstance(document, str) and document.startswith(BEGINNING)
