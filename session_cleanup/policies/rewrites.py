"""Actions that give a JSON column another stored form of the same document."""

from dataclasses import dataclass, field
from typing import ClassVar

from django.db.models import F, Q

from session_cleanup.exceptions import PolicyError
from session_cleanup.packing.codecs import CODECS
from session_cleanup.packing.envelope import LIMIT
from session_cleanup.policies.actions import Update

WORTH_IT = 128  # bytes as stored; what is smaller has hardly anything to gain


@dataclass(frozen=True, init=False)
class Rewrite(Update):
    """What the column says stays the same, so nothing else of the row moves: no time, no related row.

    The new form is worked out before anything is locked, and written under the lock only where the column
    still holds exactly what was read.
    """

    column: str = field(init=False)

    can_be_undone: ClassVar[bool] = False  # the one takes the other back

    def __init__(self, column: str) -> None:
        if not isinstance(column, str):
            raise PolicyError(
                f"{type(self).__name__}({column!r}): name a PackedJSONField, such as 'payload'."
            )
        object.__setattr__(self, "column", column)
        super().__init__({column: F(column)})


@dataclass(frozen=True, init=False)
class Compress(Rewrite):
    """Pack documents of a PackedJSONField, whole and reversibly; `codec` is "zlib" or "zstd".

    Objects and lists are packed; what is packed or encrypted, of less than 128 bytes, or would become less
    than 10 % smaller stays as it is. A row of the last kind is read again by each run, and not written.
    """

    codec: str = field(init=False)

    name: ClassVar[str] = "compress"
    verb: ClassVar[str] = "compressed"

    def __init__(self, column: str = "payload", codec: str = "zlib") -> None:
        if codec not in CODECS:
            raise PolicyError(f"Compress(codec={codec!r}): choose one of {', '.join(map(repr, CODECS))}.")
        object.__setattr__(self, "codec", codec)
        super().__init__(column)

    def condition(self) -> Q:
        size = f"{self.column}__stored_size__within"
        return Q(**{f"{self.column}__is_packable": True, size: (WORTH_IT, LIMIT)})


@dataclass(frozen=True, init=False)
class Unpack(Rewrite):
    """Put packed documents back as they were; one that cannot be read stays, and is counted as skipped."""

    name: ClassVar[str] = "unpack"
    verb: ClassVar[str] = "unpacked"

    def condition(self) -> Q:
        return Q(**{f"{self.column}__is_packed": True})
