"""What our own run does in each case."""

from datetime import timedelta

from django.apps import apps
from django.db.models import Q

from session_cleanup.policies import RUN_CLOCK, Aged, Deactivate, Delete, Policy, register

OPEN = Q(kind="collaborative", is_active=True)
ENDED = {"ended_at": RUN_CLOCK, "end_reason": "expired"}

register(
    Policy(
        name="expired-sessions",
        model="benchmarks.Session",
        where=OPEN,
        select=Aged("expires_at"),
        action=Deactivate(stamp=ENDED),
    ),
    Policy(
        name="expired-rooms",
        model="benchmarks.Room",
        where=OPEN,
        select=Aged("expires_at"),
        action=Deactivate(stamp=ENDED, related={"members": {"is_online": False}}),
    ),
    Policy(name="old-carts", model="benchmarks.Cart", select=Aged("expires_at"), action=Delete()),
    Policy(name="old-orders", model="benchmarks.Order", select=Aged("expires_at"), action=Delete()),
    Policy(
        name="old-carts-kept",
        model="benchmarks.Cart",
        select=Aged("expires_at"),
        action=Delete(),
        undo=timedelta(days=30),
    ),
    Policy(
        name="old-orders-kept",
        model="benchmarks.Order",
        select=Aged("expires_at"),
        action=Delete(),
        undo=timedelta(days=30),
    ),
    Policy(
        name="expired-django-sessions",
        model="sessions.Session",
        select=Aged("expire_date"),
        action=Delete(),
    ),
)
if apps.is_installed("oauth2_provider"):
    register(
        Policy(
            name="revoked-tokens",
            model="oauth2_provider.RefreshToken",
            select=Aged("revoked"),
            action=Delete(),
        ),
        Policy(
            name="expired-tokens",
            model="oauth2_provider.AccessToken",
            where=Q(refresh_token__isnull=True),
            select=Aged("expires"),
            action=Delete(),
        ),
    )
