"""System checks: what `policies.validation` finds wrong, and connections that make batches unsafe."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connections

from session_cleanup.engine.archiving import runs_receivers_twice
from session_cleanup.engine.exactness import doubts
from session_cleanup.policies import registry
from session_cleanup.policies.fit import Problem
from session_cleanup.policies.validation import problems

TAG = "session_cleanup"


@register(TAG)
def check_configuration(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Settings, cleanup_policies modules, names, schedules and policies."""
    found = list(problems())
    if not any(problem.id.startswith("E") for problem in found):
        found += [*_inexact(), *_rehearsed()]
    return [_message(problem) for problem in found]


@register(TAG)
def check_connections(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Options of DATABASES that batches cannot work with."""
    return [_message(problem) for alias in connections for problem in _of_connection(alias)]


def _inexact() -> Iterator[Problem]:
    """Policies whose preview may differ from their run."""
    policies = registry.policies_among(registry.declared())
    for policy, reasons in zip(policies, doubts(policies), strict=True):
        if reasons:
            yield Problem(
                "W002",
                f"The preview of policy {policy.name!r} may differ from its run: {'; '.join(reasons)}.",
                'Its reports say "exact": false. Nothing else is wrong with it.',
            )


def _rehearsed() -> Iterator[Problem]:
    for policy in registry.policies_among(registry.declared()):
        if problem := runs_receivers_twice(policy):
            yield Problem("E024", problem, "Archive to undo records instead: Archive().")


def _of_connection(alias: str) -> Iterator[Problem]:
    connection = connections[alias]
    options = connection.settings_dict.get("OPTIONS", {})
    if connection.vendor not in ("postgresql", "sqlite", "unknown"):
        yield Problem(
            "W003",
            f"The database {alias!r} is {connection.display_name}, in which no policy can run.",
            "Policies run in PostgreSQL and SQLite. Ignore this if none names a model in it.",
        )
    if not connection.settings_dict.get("AUTOCOMMIT", True):
        yield Problem(
            "E013",
            f"The database {alias!r} has AUTOCOMMIT off, so a batch could not be a transaction of its own.",
            "Remove AUTOCOMMIT from its settings.",
        )
    if connection.vendor == "sqlite" and options.get("timeout", 5) < 1:
        yield Problem(
            "W004",
            f"The database {alias!r} gives up on a locked file after {options['timeout']} s.",
            'Raise OPTIONS["timeout"] to a few seconds, or batches and other writers fail each other.',
        )


def _message(problem: Problem) -> CheckMessage:
    kind = Error if problem.id.startswith("E") else Warning
    return kind(problem.message, hint=problem.hint, id=f"session_cleanup.{problem.id}")
