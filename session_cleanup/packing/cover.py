"""A dictionary out of samples: the stretches of text that cover most of what many of them share.

The algorithm is COVER, as zstd's own trainer uses it: Liao, Petri, Moffat and Wirth, "Effective
Construction of Relative Lempel-Ziv Dictionaries" (2016). A stretch is worth the number of samples in which
its words of `WORD` bytes occur, each word counted once and only until an earlier stretch holds it. The best
come last, where they are reached with the shortest distances.

A dictionary outlives the documents it was made of, so it holds no word that only a few of them have: tokens
and names of single people are cut out of each stretch.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set

WORD = 8
STRETCH = 64
FEWEST = 5  # samples that must have a word,
RAREST = 50  # and at least one in so many


def covering(samples: Sequence[bytes], size: int) -> bytes:
    """A dictionary of at most `size` bytes."""
    occurring = Counter[bytes]()
    for sample in samples:
        occurring.update(set(_words(sample)))
    fewest = max(FEWEST, len(samples) // RAREST)
    worth = {word: count for word, count in occurring.items() if count >= fewest}
    shared = frozenset(worth)
    rounds = min(size // STRETCH, len(samples)) or 1
    found: list[bytes] = []
    left, idle, turn = size, 0, 0
    while left > 0 and idle < rounds:
        stretch = _best(samples[turn % rounds :: rounds], worth)
        turn += 1
        idle = 0 if stretch else idle + 1
        if stretch:
            found.append(_only(shared, stretch)[:left])
            left -= len(found[-1])
            for word in _words(stretch):
                worth.pop(word, None)
    return b"".join(reversed(found))


def _words(text: bytes) -> Iterator[bytes]:
    return (text[at : at + WORD] for at in range(len(text) - WORD + 1))


def _best(samples: Sequence[bytes], worth: Mapping[bytes, int]) -> bytes:
    """The stretch of these samples that is worth most; empty when none is worth anything."""
    best, stretch = 0, b""
    words = STRETCH - WORD + 1
    for sample in samples:
        worths = [worth.get(word, 0) for word in _words(sample)]
        total = sum(worths[:words])
        if total > best:
            best, stretch = total, sample[:STRETCH]
        for at in range(words, len(worths)):
            total += worths[at] - worths[at - words]
            if total > best:
                first = at - words + 1
                best, stretch = total, sample[first : first + STRETCH]
    return stretch


def _only(shared: Set[bytes], stretch: bytes) -> bytes:
    """The bytes of a stretch that belong to a shared word."""
    kept, end = bytearray(), 0
    for at, word in enumerate(_words(stretch)):
        if word in shared:
            kept += stretch[max(at, end) : at + WORD]
            end = at + WORD
    return bytes(kept)
