"""What our own run does in each case."""

from django.db.models import Q

from session_cleanup.policies import RUN_CLOCK, Aged, Deactivate, Delete, Policy, register

OPEN = Q(kind="collaborative", is_active=True)
ENDED = {"ended_at": RUN_CLOCK, "end_reason": "expired"}

register(
    Policy(
        name="sessions",
        model="benchmarks.Session",
        where=OPEN,
        select=Aged("expires_at"),
        action=Deactivate(stamp=ENDED),
    ),
    Policy(
        name="rooms",
        model="benchmarks.Room",
        where=OPEN,
        select=Aged("expires_at"),
        action=Deactivate(stamp=ENDED, related={"members": {"is_online": False}}),
    ),
    Policy(name="carts", model="benchmarks.Cart", select=Aged("expires_at"), action=Delete()),
    Policy(name="orders", model="benchmarks.Order", select=Aged("expires_at"), action=Delete()),
)
