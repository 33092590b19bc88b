"""Models of unusual shapes: odd keys, proxies, generic relations, inheritance, trees, missing constraints."""

import uuid
from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Room(models.Model):
    """Referred to in every way there is: see the models below it."""

    code = models.UUIDField(unique=True, default=uuid.uuid4)
    kind = models.CharField(max_length=20, default="office")
    is_open = models.BooleanField(default=True)
    left_at = models.DateTimeField(null=True, db_index=True)


class Desk(models.Model):
    """Goes with its room."""

    room = models.ForeignKey(Room, models.CASCADE, null=True, related_name="desks")
    moves = models.IntegerField(default=0)
    is_free = models.BooleanField(default=True)
    used_at = models.DateTimeField(null=True, db_index=True)


class Booking(models.Model):
    """Protects its room."""

    room = models.ForeignKey(Room, models.PROTECT, null=True, related_name="bookings")
    made_at = models.DateTimeField(null=True, db_index=True)


class Guest(models.Model):
    """Stays without its room."""

    room = models.ForeignKey(Room, models.SET_NULL, null=True, related_name="guests")


class Sign(models.Model):
    """Refers to a room by its code, in a column with a name of its own, and goes with it."""

    room = models.ForeignKey(
        Room, models.CASCADE, to_field="code", null=True, related_name="signs", db_column="shown_code"
    )
    is_lit = models.BooleanField(default=True)


class Suite(Room):
    """The same rows as Room, under another name."""

    class Meta:
        proxy = True


class Minibar(models.Model):
    """Refers to the proxy and goes with its room."""

    suite = models.ForeignKey(Suite, models.CASCADE, related_name="minibars")
    is_stocked = models.BooleanField(default=True)


class House(models.Model):
    sold_at = models.DateTimeField(null=True, db_index=True)


class Meter(models.Model):
    """Left to the database, which does not let its house go."""

    house = models.ForeignKey(House, models.DO_NOTHING, related_name="meters")


class Task(models.Model):
    """Loses its reference when the task that it follows goes."""

    follows = models.ForeignKey("self", models.SET_NULL, null=True, related_name="followers")
    kind = models.CharField(max_length=20, default="chore")
    state = models.CharField(max_length=20, default="new")
    is_open = models.BooleanField(default=True)
    due_at = models.DateTimeField(null=True, db_index=True)


class Branch(models.Model):
    """A tree that cascades into itself."""

    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="branches")
    cut_at = models.DateTimeField(null=True, db_index=True)


class Twig(Branch):
    """A proxy of a tree."""

    class Meta:
        proxy = True


class Nest(models.Model):
    """Protects its branch, and so the whole way down to the root."""

    branch = models.ForeignKey(Branch, models.PROTECT, related_name="nests")


class Link(models.Model):
    """A chain without constraints: a link whose target has gone is an orphan."""

    target = models.ForeignKey("self", models.DO_NOTHING, null=True, db_constraint=False)


class Remark(models.Model):
    """On a row of any model."""

    # Tables without migrations are made before those with, so there is nothing to refer to yet.
    content_type = models.ForeignKey(ContentType, models.CASCADE, db_constraint=False)
    object_id = models.PositiveBigIntegerField()
    about = GenericForeignKey()


class Photo(models.Model):
    """Takes its remarks along."""

    taken_at = models.DateTimeField(null=True, db_index=True)
    remarks = GenericRelation(Remark)


class Owner(models.Model):
    left_at = models.DateTimeField(null=True, db_index=True)


class Animal(models.Model):
    name = models.CharField(max_length=50, blank=True)


class Dog(Animal):
    """Goes with its owner, and its row of Animal goes too."""

    owner = models.ForeignKey(Owner, models.CASCADE, related_name="dogs")


class Vaccination(models.Model):
    """Refers to the table that Dog inherits from."""

    animal = models.ForeignKey(Animal, models.CASCADE, related_name="vaccinations")


class Price(models.Model):
    """A decimal key: 1.5 and 1.50 are one number and two texts."""

    amount = models.DecimalField(primary_key=True, max_digits=8, decimal_places=2)
    set_at = models.DateTimeField(null=True, db_index=True)


class Host(models.Model):
    address = models.GenericIPAddressField(primary_key=True)
    seen_at = models.DateTimeField(null=True, db_index=True)


class Moment(models.Model):
    at = models.DateTimeField(primary_key=True)


class Order(models.Model):
    paid_at = models.DateTimeField(null=True, db_index=True)


class OrderLine(models.Model):
    """A key of two columns."""

    pk = models.CompositePrimaryKey("order_id", "number")
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    number = models.IntegerField()
    shipped_at = models.DateTimeField(null=True, db_index=True)


class Draft(models.Model):
    """Remembers its columns as they were loaded."""

    text = models.CharField(max_length=50, default="")
    saved_at = models.DateTimeField(null=True, db_index=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loaded = (self.text, self.saved_at)


class Far(models.Model):
    """In another schema of PostgreSQL; a test that needs the table makes it."""

    seen_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        managed = False
        db_table = 'far"."far'


class Hall(models.Model):
    """Has lockers."""

    left_at = models.DateTimeField(null=True, db_index=True)


class Locker(models.Model):
    """Goes with its hall, since Django 6.1 by the database's own doing."""

    hall = models.ForeignKey(
        Hall, getattr(models, "DB_CASCADE", models.CASCADE), null=True, related_name="lockers"
    )
