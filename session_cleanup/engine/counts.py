"""What the batches of a job run add up to, and what each of them writes down of it.

The counts commit with the rows they count. After a lost connection only the database knows what committed,
so they are taken from there. The history may live in another database: then its counts follow the commit.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from session_cleanup.engine.account import Account
from session_cleanup.engine.sql import Sql
from session_cleanup.models import JobRun
from session_cleanup.policies.actions import Effect

Cursor = Mapping[str, Any]  # where a job stands, as the history keeps it


@dataclass(frozen=True)
class Totals:
    """What the committed batches of a job run add up to."""

    changed: int = 0
    related: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    figures: Counter[str] = field(default_factory=Counter)


@dataclass
class Counts:
    """The counts of one job run over rows of the database `using`."""

    record: JobRun
    using: str
    totals: Totals = field(default_factory=Totals)
    left_alone: Counter[str] = field(default_factory=Counter)
    unsure: bool = False  # whether the last batch committed: the connection was lost
    undone: bool = False  # whether a crash of the server took back what had committed
    started: float = field(default_factory=time.monotonic)

    @property
    def here(self) -> bool:
        """Whether the record is in the database of the rows."""
        return self.record._state.db == self.using

    def add(self, effect: Effect, skipped: Counter[str] | None = None) -> None:
        self.totals = Totals(
            self.totals.changed + effect.changed,
            self.totals.related + Counter(effect.related),
            self.totals.skipped + (skipped or Counter()),
            self.totals.batches + 1,
            self.totals.figures + Counter(effect.figures),
        )

    def add_related(self, more: Mapping[str, int]) -> None:
        self.totals = replace(self.totals, related=self.totals.related + Counter(more))

    def settle(self) -> None:
        """Take the totals from the database: after a lost connection only it knows what committed."""
        if self.unsure and self.here:
            self.record.refresh_from_db(using=self.using)
            saved = self.record
            skipped = Counter(saved.skipped) - self.left_alone
            self.undone = self.undone or saved.batches < self.totals.batches
            self.totals = Totals(
                saved.changed, Counter(saved.related), skipped, saved.batches, Counter(saved.figures)
            )
        self.unsure = False

    def skip(self, reason: str, count: int = 1) -> None:
        """Count rows that no batch could take."""
        self.left_alone[reason] += count

    @property
    def skipped(self) -> Counter[str]:
        return self.totals.skipped + self.left_alone

    def forget_skips(self) -> None:
        """Another pass looks at the same rows again."""
        self.totals = replace(self.totals, skipped=Counter())
        self.left_alone.clear()

    @cached_property
    def account(self) -> Account:
        return Account(self.record)

    def entry(self, cursor: Cursor | None, walk: str) -> Sql:
        """The statement that writes them down, and where the job stands."""
        totals = self.totals
        return self.account.entry(
            changed=totals.changed,
            related=dict(totals.related),
            skipped=dict(self.skipped),
            batches=totals.batches,
            figures=dict(totals.figures),
            seconds=time.monotonic() - self.started,
            walk=walk,
            **({"cursor": cursor} if cursor else {}),
        )
