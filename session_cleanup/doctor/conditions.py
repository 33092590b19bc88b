"""Conditions that may pass by rows which a person would call due."""

from collections.abc import Iterator

from session_cleanup.doctor.case import Case
from session_cleanup.doctor.findings import Finding, Severity
from session_cleanup.policies.conditions import json_read, paths


def of_conditions(case: Case) -> Iterator[Finding]:
    for path in dict.fromkeys(paths(case.policy.where)):
        if path is not None and (field := json_read(path, case.policy.get_model())):
            yield Finding(
                "json-path",
                Severity.ADVICE,
                case.policy.name,
                f"Its condition {path!r} looks into the JSON column {field.name!r}.",
                "It does not see into a payload that was packed, or that lacks the key: such rows are never "
                "due (under a NOT, always).",
                "Keep what decides in a column of its own, with an index.",
            )
