"""Deletion leaves the rows, and counts them, as Django's collector does: over random graphs of models."""

from collections import Counter
from itertools import combinations
from random import Random
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F, QuerySet
from django.db.models.deletion import ProtectedError, RestrictedError
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from session_cleanup.engine import cascades
from session_cleanup.engine.at_once import Statement
from session_cleanup.engine.deletion import Deletion, Refused
from session_cleanup.policies.claims import AmongKeys, Claims
from tests.factories import NOW
from tests.graphs.random_models import ROWS, Graph

EXAMPLES = 40
Refusal = type[Exception] | None


class Unclear(Exception):
    """The database refuses what Django accepts, so that no largest set can be told."""


def by_django(model: Any, keys: Any) -> tuple[Refusal, Counter[str]]:
    """What QuerySet.delete() does: why it refuses, or the counts."""
    try:
        with transaction.atomic():
            counts = QuerySet(model).filter(pk__in=list(keys)).delete()[1]
            connection.check_constraints()
            return None, +Counter(counts)
    except (ProtectedError, RestrictedError):
        return ProtectedError, Counter()
    except IntegrityError:
        return IntegrityError, Counter()


def largest_accepted(model: Any, keys: list[Any]) -> Counter[str]:
    """Delete the largest set of rows that Django accepts, again until it accepts none; the counts."""
    for size in range(len(keys), 0, -1):
        for some in combinations(keys, size):
            refusal, counts = by_django(model, some)
            if refusal is IntegrityError:
                raise Unclear
            if refusal is None:
                return counts + largest_accepted(model, left_of(model, keys))
    return Counter()


def row_by_row(model: Any, keys: list[Any]) -> None:
    """Delete the rows that Django accepts one by one, in passes, until a pass changes nothing."""
    while keys:
        for key in keys:
            by_django(model, [key])
        if keys == (keys := left_of(model, keys)):
            return


def by_us(deletion: Deletion, keys: list[Any]) -> Counter[str]:
    """Delete in passes until one changes nothing; a batch that is refused as a whole is halved."""
    counts: Counter[str] = Counter()
    parts = [keys]
    while parts:
        part = parts.pop()
        try:
            with transaction.atomic():
                done = deletion.delete(part)
                connection.check_constraints()
        except Refused:
            middle = len(part) // 2
            parts += [part[:middle], part[middle:]] if middle else []
        else:
            assert done.left_out == []
            counts += Counter(done.effect.related)
            counts += Counter({deletion.model._meta.label: done.effect.changed})
    left = left_of(deletion.model, keys)
    return counts + by_us(deletion, left) if counts and left else counts


def in_one_statement(deletion: Deletion, keys: list[Any]) -> Counter[str]:
    """Delete them, and what goes with them, as a run does where nothing protects a row."""
    rows = QuerySet(deletion.model, using="default").filter(AmongKeys(F("pk"), keys))
    with transaction.atomic():
        _, effect = Statement(deletion.parts(rows)).act()
        connection.check_constraints()
    return Counter(effect.related) + Counter({deletion.model._meta.label: effect.changed})


def left_of(model: Any, keys: list[Any]) -> list[Any]:
    found = set(QuerySet(model).filter(pk__in=keys).values_list("pk", flat=True))
    return [key for key in keys if key in found]


def undone(graph: Graph, action: Any) -> tuple[Any, dict[str, Any]]:
    """What the action gives and the rows it leaves; then all is as before."""
    with transaction.atomic():
        result = action()
        rows = graph.rows()
        transaction.set_rollback(True)
    return result, rows


def compare(graph: Graph, root: Any, keys: list[Any]) -> str:
    """Delete these rows both ways; says what was compared."""
    deletion = Deletion(root, Claims("default", NOW))
    way = "fast" if deletion.fast else "collector"
    (refusal, counts), rows = undone(graph, lambda: by_django(root, keys))
    if refusal is IntegrityError:
        with pytest.raises(IntegrityError):
            undone(graph, lambda: by_us(deletion, keys))
        if deletion.at_once:
            with pytest.raises(IntegrityError):
                undone(graph, lambda: in_one_statement(deletion, keys))
        return f"{way} fails"
    if refusal is None:
        assert undone(graph, lambda: by_us(deletion, keys)) == (counts, rows)
        if deletion.at_once:
            assert undone(graph, lambda: in_one_statement(deletion, keys)) == (counts, rows)
            return f"{way} accepted at once"
        return f"{way} accepted"
    try:
        largest = undone(graph, lambda: (largest_accepted(root, keys), left_of(root, keys)))
    except Unclear:
        return f"{way} unclear"
    ours = undone(graph, lambda: (by_us(deletion, keys), left_of(root, keys)))
    if deletion.fast:
        assert ours == largest
    else:  # what is halved on the way loses the sets that only go together
        (_, alone), _ = undone(graph, lambda: (row_by_row(root, keys), left_of(root, keys)))
        assert set(largest[0][1]) <= set(ours[0][1]) <= set(alone)
    return f"{way} refused"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_random_graphs_of_models() -> None:
    compared: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.generate])  # a seed does not shrink
    @given(seed=st.integers(0, 2**32))
    def check(seed: int) -> None:
        random = Random(seed)
        graph = Graph(random)
        with graph.made():
            inherited = sum(base is not None for base in graph.bases.values())
            seen = sum(len(cascades.edges(model)) for model in graph.models.values())
            assert seen == graph.edges + inherited > 0
            for name in graph.names:
                some = random.sample(range(1, ROWS), random.randint(1, ROWS - 1))
                keys = [graph.key(name, n) for n in some]
                compared[compare(graph, graph.models[name], keys)] += 1

    check()

    whole = compared["fast accepted at once"]
    assert compared["fast accepted"] + whole > EXAMPLES  # of at least two models an example
    assert (whole > EXAMPLES / 10) == (connection.vendor == "postgresql")
    assert compared["fast refused"] > EXAMPLES / 10
    assert compared["collector accepted"]
