"""Packs documents with one dictionary, and reads them again."""

from dataclasses import dataclass, field
from functools import cached_property

from session_cleanup.packing.codecs import CODECS, Codec
from session_cleanup.packing.envelope import LIMIT, opened, sealed, verified

GAIN = 0.1  # a document that would become less than that much smaller stays as it is


@dataclass(frozen=True)
class Packer:
    """A codec with the dictionary of that version. `digest` is the dictionary's SHA-256."""

    version: int
    codec: str
    dictionary: bytes = field(repr=False)
    digest: str

    @cached_property
    def _codec(self) -> Codec:
        return CODECS[self.codec](self.dictionary)

    def packed(self, document: str) -> str | None:
        """The stored form; None where the document gains too little, or is too long.

        Raises CorruptPacking if it could not be read again as it is.
        """
        if len(document) > LIMIT:
            return None
        try:
            plain = document.encode()
        except UnicodeEncodeError:  # half a surrogate pair, as SQLite lets anybody write
            return None
        stored = sealed(self.version, plain, self._codec.compress(plain))
        if len(plain) > LIMIT or len(stored) > len(plain) * (1 - GAIN):
            return None
        self.unpacked(stored)
        return stored

    def unpacked(self, stored: str) -> str:
        """The document, its checksum verified. Raises PackingError."""
        checksum, compressed = opened(stored)
        return verified(self._codec.decompress(compressed, LIMIT), checksum).decode()
