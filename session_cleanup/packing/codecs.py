"""Compression of many short documents that resemble each other, by a dictionary that they share.

A codec is made once for a dictionary and used for many documents: to prime a compressor with 32 KB takes
longer than to compress a document, so a primed one is copied (zlib) or used again (zstd).
"""

import zlib
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

from session_cleanup.exceptions import CodecMissing, CorruptPacking
from session_cleanup.packing.cover import covering

DICTIONARY_BYTES = 32 * 1024  # as far back as zlib can look


class Codec:
    """Compresses with one dictionary. Not for several threads at once; unpacking is."""

    name: str

    def __init__(self, dictionary: bytes) -> None:
        self.dictionary = dictionary

    @classmethod
    def trained(cls, samples: Sequence[bytes]) -> bytes:
        """A dictionary for documents like these."""
        raise NotImplementedError

    def compress(self, document: bytes) -> bytes:
        raise NotImplementedError

    def decompress(self, data: bytes, limit: int) -> bytes:
        """The document; CorruptPacking if it is none, or longer than `limit`."""
        raise NotImplementedError


class Zlib(Codec):
    name = "zlib"

    @classmethod
    def trained(cls, samples: Sequence[bytes]) -> bytes:
        return covering(samples, DICTIONARY_BYTES)

    @cached_property
    def _primed(self) -> Any:
        return zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=self.dictionary)

    def compress(self, document: bytes) -> bytes:
        compressor = self._primed.copy()
        return bytes(compressor.compress(document) + compressor.flush())

    def decompress(self, data: bytes, limit: int) -> bytes:
        decompressor = zlib.decompressobj(-zlib.MAX_WBITS, zdict=self.dictionary)
        try:
            document = decompressor.decompress(data, limit)
        except zlib.error:
            raise CorruptPacking("its data are no zlib stream") from None
        if not decompressor.eof or decompressor.unused_data:
            raise CorruptPacking("its data are cut off, or far too long")
        return document


class Zstd(Codec):
    name = "zstd"

    LEVEL = 5  # a third fewer characters than 1, and still faster than zlib
    TABLES = 512  # bytes, at most, that precede the content of a dictionary
    SMALLEST = 8  # bytes of a dictionary
    MAGIC = b"\x28\xb5\x2f\xfd"  # every frame begins with it, so it is not stored
    FINAL = b"\x37\xa4\x30\xec"  # and with this a dictionary that was finalized

    @classmethod
    def trained(cls, samples: Sequence[bytes]) -> bytes:
        content = covering(samples, DICTIONARY_BYTES - cls.TABLES)
        if len(content) < cls.SMALLEST:
            return b""
        zstd = _zstd()
        raw = zstd.ZstdDict(content, is_raw=True)
        try:  # adds how often which bytes occur in what is no repetition, and no word of it
            return bytes(zstd.finalize_dict(raw, samples, DICTIONARY_BYTES, cls.LEVEL).dict_content)
        except zstd.ZstdError:  # too few samples
            return content

    @cached_property
    def _dictionary(self) -> Any:
        if not self.dictionary:
            return None
        raw = not self.dictionary.startswith(self.FINAL)
        return _zstd().ZstdDict(self.dictionary, is_raw=raw)

    @cached_property
    def _compressor(self) -> Any:
        zstd = _zstd()
        options = {
            zstd.CompressionParameter.compression_level: self.LEVEL,
            zstd.CompressionParameter.dict_id_flag: 0,
        }
        given = self._dictionary and self._dictionary.as_digested_dict
        return zstd.ZstdCompressor(options=options, zstd_dict=given)

    def compress(self, document: bytes) -> bytes:
        compressor = self._compressor
        compressor.set_pledged_input_size(len(document))
        return bytes(compressor.compress(document, compressor.FLUSH_FRAME)[len(self.MAGIC) :])

    def decompress(self, data: bytes, limit: int) -> bytes:
        zstd = _zstd()
        decompressor = zstd.ZstdDecompressor(zstd_dict=self._dictionary)
        try:
            document = bytes(decompressor.decompress(self.MAGIC + data, limit))
        except zstd.ZstdError:
            raise CorruptPacking("its data are no zstd frame, or of another dictionary") from None
        if not decompressor.eof or decompressor.unused_data:
            raise CorruptPacking("its data are cut off, or far too long")
        return document


CODECS: dict[str, type[Codec]] = {codec.name: codec for codec in (Zlib, Zstd)}


def missing(name: str) -> str | None:
    """Why the codec cannot work here, as a sentence, or None."""
    try:
        if name == Zstd.name:
            _zstd()
    except CodecMissing as error:
        return str(error)
    return None


@cache  # a failed import costs more than to unpack a document
def _zstd() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            raise CodecMissing(
                "The codec 'zstd' needs Python 3.14 or the package backports.zstd, and neither is here. "
                "Install session-cleanup[zstd]."
            ) from None
    return zstd
