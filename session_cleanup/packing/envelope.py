"""The stored form of a packed document: a JSON string, `packed:<version of the dictionary>:<data>`.

The data is base64 without padding: every character of it is safe in JSON and is one byte in any database.
Base85 would need 6 % fewer, but in Python it takes 40 times as long to write, and to read; at equal time a
higher level of compression gains more.

A string of the project's own that begins like a packed document is stored as `packed:=<string>`.
"""

import base64
import binascii
import re
from zlib import crc32

from session_cleanup.exceptions import CorruptPacking

PREFIX = "packed:"
ESCAPED = f"{PREFIX}="
LIMIT = 16 * 1024 * 1024  # bytes of a document; a packed one that claims to be longer is not unpacked
FORM = re.compile(rf"{PREFIX}([1-9][0-9]{{0,17}}):([A-Za-z0-9+/]+)")
CHECKSUM = 4  # bytes


def escaped(text: str) -> str:
    return f"{ESCAPED}{text}" if text.startswith(PREFIX) else text


def sealed(version: int, document: bytes, compressed: bytes) -> str:
    """The stored form; the checksum of the document tells whether it was read as it was written."""
    data = crc32(document).to_bytes(CHECKSUM) + compressed
    return f"{PREFIX}{version}:{base64.b64encode(data).rstrip(b'=').decode()}"


def version_of(stored: str) -> int:
    return int(_matched(stored)[1])


def opened(stored: str) -> tuple[bytes, bytes]:
    """The checksum and the compressed document."""
    text = _matched(stored)[2]
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise CorruptPacking("its data are cut off") from None
    if len(data) <= CHECKSUM:
        raise CorruptPacking("its data are cut off")
    return data[:CHECKSUM], data[CHECKSUM:]


def verified(document: bytes, checksum: bytes) -> bytes:
    if crc32(document).to_bytes(CHECKSUM) != checksum:
        raise CorruptPacking("its checksum does not fit")
    return document


def _matched(stored: str) -> re.Match[str]:
    found = FORM.fullmatch(stored)
    if found is None:
        raise CorruptPacking("it begins like a packed document, but is none")
    return found
