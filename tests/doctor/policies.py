"""Policies over the models of the tests."""

from datetime import timedelta

from django.db.models import Q

from session_cleanup.policies import Aged, Deactivate, Delete, Policy

BOOKS = Policy(name="books", model="testapp.Book", select=Aged("read_at"), action=Delete())
ROOMS = Policy(name="rooms", model="testapp.Room", select=Aged("left_at"), action=Delete())
DETACH = Policy(
    name="detach",
    model="testapp.Book",
    where=Q(is_active=True),
    select=Aged("read_at"),
    action=Deactivate(related={"chapters": {"is_open": False}}),
)
# No index leads to closed_at.
CLOSED = Policy(name="closed", model="testapp.Book", select=Aged("closed_at"), action=Delete())
ENDED = Policy(
    name="ended",
    model="session_cleanup.Session",
    where=Q(kind="recurring", is_active=False, expires_at__isnull=True, owner=7),
    select=Aged("last_activity_at", older_than=timedelta(days=7)),
    action=Delete(),
)
