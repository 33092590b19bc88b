"""What a delete takes along, and what it unlinks, comes back: over random graphs of models."""

from collections import Counter
from random import Random

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F, QuerySet
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from session_cleanup.engine.at_once import Statement
from session_cleanup.engine.deletion import Deletion
from session_cleanup.engine.refusal import Refused
from session_cleanup.engine.restore_report import RestoreRequest
from session_cleanup.engine.restores import restore
from session_cleanup.engine.undo import Undo
from session_cleanup.models import CleanupRun, JobRun, UndoRecord
from session_cleanup.policies import Delete, Orphaned, Policy
from session_cleanup.policies.claims import AmongKeys, Claims
from tests.factories import DAY, NOW
from tests.graphs.random_models import APP, ROWS, Graph

EXAMPLES = 40


def delete(model, keys, *, at_once):
    """Delete rows with undo, one by one where not all can go; the run and how it was done, or None."""
    claims = Claims("default", NOW)
    policy = Policy(
        name="go", model=f"{APP}.{model.__name__}", select=Orphaned("x"), action=Delete(), undo=DAY
    )
    run = CleanupRun.objects.create(trigger="python", host="", pid=1, started_at=NOW)
    writer = Undo(policy, claims, JobRun.objects.create(run=run, job="go", model="", database="default"))
    writer.prepare()
    deletion = Deletion(model, claims, writer)
    whole = at_once and deletion.at_once
    for part in [keys] if whole else [[key] for key in keys]:
        try:
            with transaction.atomic():
                writer.begin()
                if whole:
                    rows = QuerySet(model, using="default").filter(AmongKeys(F("pk"), part))
                    Statement(deletion.parts(rows)).act()
                else:
                    deletion.delete(part)
                connection.check_constraints()
        except (Refused, IntegrityError):  # such a row stays
            pass
    return run.pk, "at once" if whole else "fast" if deletion.fast else "collector"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_random_graphs_come_back():
    seen = Counter()

    @settings(
        max_examples=EXAMPLES, deadline=None, phases=[Phase.explicit, Phase.generate]
    )  # a seed does not shrink
    @given(seed=st.integers(0, 2**32))
    @example(seed=39709)  # a reference is replaced twice
    def check(seed):
        random = Random(seed)
        graph = Graph(random)
        with graph.made():
            before = graph.rows()
            for name in graph.names:
                some = random.sample(range(1, ROWS), random.randint(1, ROWS - 1))
                run, way = delete(
                    graph.models[name], [graph.key(name, n) for n in some], at_once=random.random() < 0.5
                )
                if not UndoRecord.objects.exists():
                    assert graph.rows() == before
                    continue
                done = restore(RestoreRequest(run=run), now=NOW)

                assert graph.rows() == before, (way, done)
                assert not done.jobs[0].left_alone
                assert not UndoRecord.objects.exists()
                seen[way] += 1

    check()
    assert seen["fast"] > EXAMPLES / 4
    assert seen["collector"] > EXAMPLES / 10
    assert (seen["at once"] > 0) == (connection.vendor == "postgresql")
