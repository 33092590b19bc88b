"""Writes what a job deletes into files of a storage, before it deletes it.

Why no row goes that is not in a file. A batch is rehearsed: done, noted, and rolled back, holding locks no
longer than any batch. What was noted is written, and read back. Then the batch is done again, every row
judged again under its lock, and commits only if each row that goes stands in the file as it is by now. A
process that dies in between leaves a file too many, and no row too few. The line that names the file
commits with the batch.
"""

import gzip
import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db.models.functions import Now

from session_cleanup.engine import cascades
from session_cleanup.engine.exactness import has_receivers
from session_cleanup.engine.kept import Kept
from session_cleanup.engine.refusal import LOCKED, Refused
from session_cleanup.engine.rowtext import Value, dump_typed, load_typed, marked
from session_cleanup.engine.undo import Undo
from session_cleanup.engine.writing import Writer
from session_cleanup.exceptions import ArchiveError, ConfigurationError
from session_cleanup.models import ArchiveFile, JobRun, UndoSet
from session_cleanup.policies.actions import ARCHIVE, Archive
from session_cleanup.policies.claims import Claims
from session_cleanup.policies.policy import Policy

FORMAT = 1
T = TypeVar("T")


class Rehearsed(Exception):
    """The batch was done for the notes alone, and is rolled back."""


@dataclass(frozen=True)
class Noted(Kept):
    """Rows that are noted here instead of being inserted as records."""

    notes: list[str] = field(default_factory=list)

    @property
    def by_way_of_python(self) -> bool:
        return True

    def insert(self, rows: Sequence[Sequence[Value]]) -> None:
        self.notes.extend(map(dump_typed, rows))

    def lines(self) -> Iterator[str]:
        """The notes as a file has them, secrets encrypted."""
        for note in self.notes:
            sealed = [marked(value) for value in self.seal(load_typed(note))]
            yield json.dumps({"set": self.set_id, "row": sealed})


class ArchiveWriter(Undo):
    """Writes files, and does each batch twice for that."""

    rehearsing = False

    def __init__(self, policy: Policy, claims: Claims, record: JobRun) -> None:
        super().__init__(policy, claims, record)
        self.heads: list[dict[str, Any]] = []
        self.noted: list[Noted] = []
        self.file: ArchiveFile | None = None
        self.filed: set[tuple[int, str]] = set()

    def done(self, batch: Callable[[], T]) -> T:
        self.rehearsing = True
        try:
            batch()
        except Rehearsed:
            pass
        finally:
            self.rehearsing = False
        self._write()
        return batch()

    def begin(self) -> None:
        for kept in self.noted:
            kept.notes.clear()

    def finish(self) -> None:
        if self.rehearsing:
            raise Rehearsed
        if not self._noted() <= self.filed:
            raise Refused(LOCKED)  # somebody is at work on a row of it
        if self.file:
            self.file.save(using=self.using)
            self.file = None

    def _keep_in(self, saved: UndoSet, **place: Any) -> Kept:
        head = {"set": len(self.heads), "model": saved.model, "kind": saved.kind, "columns": saved.columns}
        self.heads.append({**head, "sealed": saved.sealed, "left_out": saved.left_out})
        self.noted.append(Noted(set_id=head["set"], **place))
        return self.noted[-1]

    def _write(self) -> None:
        self.filed, self.file = self._noted(), None
        if not self.filed:
            return
        head = {"format": FORMAT, "run": self.record.run_id, "job": self.policy.name, "sets": self.heads}
        lines = [json.dumps(head), *(line for kept in self.noted for line in kept.lines()), ""]
        content = gzip.compress("\n".join(lines).encode(), mtime=0)
        digest = hashlib.sha256(content).hexdigest()
        storage = storages[ARCHIVE]
        name = storage.save(
            f"{self.policy.name}/{self.record.run_id}-{uuid.uuid4().hex}.jsonl.gz", ContentFile(content)
        )
        with storage.open(name) as written:
            if hashlib.sha256(written.read()).hexdigest() != digest:
                raise ArchiveError(
                    f"The file {name!r} of the storage {ARCHIVE!r} does not read back as it was written, so "
                    "the rows in it were not deleted. See to that storage."
                )
        self.file = ArchiveFile(
            run_id=self.record.run_id,
            job=self.policy.name,
            name=name,
            sha256=digest,
            size=len(content),
            rows=self._counts(),
            created_at=Now(),
        )

    def _noted(self) -> set[tuple[int, str]]:
        return {(kept.set_id, note) for kept in self.noted for note in kept.notes}

    def _counts(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for kept, head in zip(self.noted, self.heads, strict=True):
            if head["kind"] == UndoSet.Kind.DELETED:
                counts[head["model"]] += len(kept.notes)
        return dict(+counts)


def runs_receivers_twice(policy: Policy) -> str:
    """What is wrong with rehearsing a policy's batches; empty if nothing is."""
    if not (isinstance(policy.action, Archive) and policy.action.to == "storage"):
        return ""
    for model in cascades.parents_first(policy.get_model()):
        if has_receivers(model):
            return (
                f"Policy {policy.name!r} archives to a storage, for which each batch is done twice, and "
                f"signal receivers that run when a {model._meta.label} is deleted would run twice with it."
            )
    return ""


def writer_for(policy: Policy, claims: Claims, record: JobRun) -> Writer:
    """What writes for a job, and keeps what its policy says."""
    if problem := runs_receivers_twice(policy):
        raise ConfigurationError(problem)
    if isinstance(policy.action, Archive) and policy.action.to == "storage":
        return ArchiveWriter(policy, claims, record)
    return Undo(policy, claims, record) if policy.is_kept else Writer()
