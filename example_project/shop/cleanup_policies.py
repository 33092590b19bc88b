from datetime import timedelta

from django.db.models import Q

from session_cleanup.policies import Aged, Delete, Policy, register

register(
    Policy(
        name="abandoned-carts",
        model="shop.Cart",
        where=Q(is_ordered=False),
        select=Aged("updated_at", older_than=timedelta(days=90)),
        action=Delete(),
    ),
)
