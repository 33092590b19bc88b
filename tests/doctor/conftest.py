from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from session_cleanup.doctor.examination import examine
from session_cleanup.doctor.findings import Diagnosis
from session_cleanup.policies import Policy
from tests.factories import NOW


@pytest.fixture
def diagnose(declare: Callable[..., None]) -> Callable[..., Diagnosis]:
    """diagnose(policy, …): what the doctor says of these policies at NOW."""

    def diagnose(*policies: Policy, **options: Any) -> Diagnosis:
        declare(*policies)
        return examine([policy.name for policy in policies], now=NOW, **options)

    return diagnose


@pytest.fixture
def sql(db: None) -> Callable[..., None]:
    """sql("…", …): what somebody does to the database by hand; undone after the test."""

    def sql(*statements: str) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    return sql
