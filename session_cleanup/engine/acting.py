"""What a batch does to rows, within its transaction: it locks them, judges them, and acts.

Why it is safe to let this delete: a row is acted on only while we hold its lock, and judged under it, so
what another process refreshed meanwhile is kept. Where only the columns of a row decide, PostgreSQL
judges its newest version in the statement that locks it or acts on it. Where other rows decide too, or
may refuse, it is locked first, and judged by a statement of its own (a fresh snapshot); the keys are
materialised then, so the rows acted on are the rows judged. In SQLite nobody else writes meanwhile.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from django.db import connections
from django.db.models import F, Model, QuerySet

from session_cleanup.engine.archiving import writer_for
from session_cleanup.engine.at_once import Statement, can_update, parts_of
from session_cleanup.engine.counts import Counts
from session_cleanup.engine.deletion import Deleted, Deletion
from session_cleanup.engine.footprint import claims_of_run, footprint, judged, reads_one_table
from session_cleanup.engine.heaps import Slice
from session_cleanup.engine.inspection import Inspection
from session_cleanup.engine.rewriting import Rewriting
from session_cleanup.engine.sql import Prepared
from session_cleanup.engine.walks import Keys
from session_cleanup.engine.writing import Writer
from session_cleanup.models import Claim
from session_cleanup.policies.actions import Delete, Effect, Update
from session_cleanup.policies.claims import AmongKeys, Claims, concrete
from session_cleanup.policies.looking import Invalid
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.rewrites import Rewrite
from session_cleanup.policies.selections import ONE_BY_ONE


@dataclass
class Acting:
    """The deeds of one job, counted as they are done."""

    policy: Policy
    claims: Claims
    counts: Counts
    remembered: set[type[Model]]  # the models of which later jobs must know the rows that changed
    nests: int = 0  # transactions within those of the batches
    nesting: bool = False  # whether one may be under way
    locking: dict[Any, Prepared] = field(default_factory=dict)
    statements: dict[Any, Statement] = field(default_factory=dict)

    @cached_property
    def writer(self) -> Writer:
        return writer_for(self.policy, self.claims, self.counts.record)

    @cached_property
    def deletion(self) -> Deletion:
        return Deletion(self.policy.get_model(), self.claims, self.writer)

    @cached_property
    def inspection(self) -> Inspection | None:
        select = self.policy.select
        if not isinstance(select, Invalid):
            return None
        return Inspection(select, concrete(self.policy.get_model()), self.claims.using)

    @property
    def rewrites(self) -> bool:
        return isinstance(self.policy.action, Rewrite)

    @cached_property
    def rewriting(self) -> Rewriting:
        return Rewriting(self.policy, self.claims)

    @property
    def everything(self) -> QuerySet[Any]:
        return QuerySet(concrete(self.policy.get_model()), using=self.claims.using)

    def rows(self, keys: list[Any]) -> QuerySet[Any]:
        return self.everything.filter(AmongKeys(F("pk"), keys))

    @cached_property
    def matching(self) -> QuerySet[Any]:
        policy = self.policy
        if isinstance(policy.action, Rewrite):  # its question was answered when the document was read
            policy = replace(policy, action=Update(policy.action.values))
        return policy.matching(self.claims, part=ONE_BY_ONE)

    @cached_property
    def reads_one_table(self) -> bool:
        return reads_one_table(self.policy, self.claims)

    def lock(self, part: Slice | Keys, *, due: bool, skip_locked: bool = False) -> list[Any]:
        """Lock the rows of a part, or those that are `due`; returns the keys of those that we got."""
        locks = connections[self.claims.using].features.has_select_for_update_skip_locked
        if isinstance(part, Keys) and not due and not locks:
            return part.keys  # SQLite: all is ours until the commit
        rows = self.matching if due else self.everything
        question = (type(part), due, skip_locked)
        if question not in self.locking:
            found = part.of_any(rows).values_list("pk")  # no instances: no code of theirs
            if isinstance(part, Keys):
                found = found.order_by("pk")  # no deadlock among us
            if locks:
                no_key = self.policy.action.lets_children_in
                found = found.select_for_update(skip_locked=skip_locked, no_key=no_key)
            self.locking[question] = Prepared(found)
        return [key for (key,) in self.locking[question].ask(part.places(rows))]

    def judge(self, locked: list[Any]) -> tuple[list[Any], Counter[str]]:
        """Those of the locked rows that are due, and why others that are may not be acted on."""
        verdicts = dict(self._judging.ask(Keys(locked).places(self.everything))) if locked else {}
        if self.inspection is not None:
            going = isinstance(self.policy.action, Delete)
            verdicts = self.inspection.settle(verdicts, going, self.claims.now)
        due = [key for key in locked if verdicts.get(key) == ""]
        return due, Counter(verdict for verdict in verdicts.values() if verdict)

    @cached_property
    def _judging(self) -> Prepared:
        rows = judged(self.policy, self.claims, part=True)
        return Prepared(Keys.of_any(rows).values_list("pk", "verdict"))

    def act(self, due: list[Any], skipped: Counter[str]) -> list[Any]:
        """Act on rows that are locked and due; returns those that were left out."""
        deleted = Deleted(Effect(0))
        if due:
            rows = self.rows([key for key in due if not self.rewrites or key in self.rewriting.forms])
            claims: list[Claim] = []
            if self.remembered:
                found = footprint(self.policy, rows, self.claims)
                claims = claims_of_run(found, self.remembered, self.claims, self.counts.record.run_id)
            if isinstance(self.policy.action, Delete):
                self.nesting = self.deletion.nests
                deleted = self.deletion.delete(due)
                self.nests += self.nesting
                self.nesting = False
            elif self.rewrites:
                deleted = self.rewriting.write(due)
            elif isinstance(self.policy.action, Update):
                deleted = Deleted(self.policy.action.apply(rows, self.claims, self.writer.update))
            else:
                deleted = Deleted(self.policy.action.apply(rows, self.claims))
            Claim.objects.using(self.claims.using).bulk_create(claims, ignore_conflicts=True)
        self.counts.add(deleted.effect, skipped + deleted.skipped)
        return deleted.left_out

    @cached_property
    def at_once(self) -> bool:
        """Whether one statement can find, judge and act, and nobody has to know on which rows."""
        action = self.policy.action
        postgresql = connections[self.claims.using].vendor == "postgresql"
        kept_in_python = self.writer.keeps and not postgresql
        if self.remembered or self.rewrites or kept_in_python or not self.reads_one_table:
            return False
        if isinstance(action, Delete):
            return self.deletion.alone or self.deletion.at_once
        assert isinstance(action, Update)
        if not action.says_all:
            return False
        return not action.related or (postgresql and can_update(action, self.policy.get_model()))

    def act_at_once(self, part: Slice | Keys) -> list[Any]:
        """Gives the keys of the rows where other tables are changed with them."""
        if self._never:
            return []
        kind = type(part)
        if kind not in self.statements:
            self.statements[kind] = self._statement(kind.of_any(self.matching))
        keys, effect = self.statements[kind].act(part.places(self.matching))
        self.counts.add(effect)
        return keys

    @cached_property
    def _never(self) -> bool:
        """Whether there is no row that could match."""
        return not Prepared(self.matching).sql

    def _statement(self, rows: QuerySet[Any]) -> Statement:
        action = self.policy.action
        if isinstance(action, Delete):
            return Statement(self.deletion.parts(rows))
        assert isinstance(action, Update)
        return Statement(parts_of(action, rows, self.claims, self.writer.updated))
