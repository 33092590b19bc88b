import pytest
from django.utils import timezone

from tests.factories import DAY, MemberFactory, PresentationFactory
from tests.systems.conftest import fail_when

__all__ = ["fail_when"]


@pytest.fixture
def some_due(db):
    PresentationFactory.create_batch(2, created_at=timezone.now() - 30 * DAY)
    MemberFactory(session__expires_at=timezone.now() - DAY)
