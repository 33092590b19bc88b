"""The tables of the cases: columns and indexes such as a project has, rows of about 270 bytes."""

from django.db import models


class Aging(models.Model):
    """What they have in common; `payload` fills a row up, `hits` is what other writers change."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=20)
    is_active = models.BooleanField(default=True)
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=20, blank=True)
    hits = models.IntegerField(default=0)
    payload = models.TextField()

    class Meta:
        abstract = True


class Session(Aging):
    class Meta:
        indexes = [models.Index(fields=["kind", "is_active", "expires_at", "id"], name="bench_session_due")]


class Room(Aging):
    class Meta:
        indexes = [models.Index(fields=["kind", "is_active", "expires_at", "id"], name="bench_room_due")]


class Member(models.Model):
    id = models.BigAutoField(primary_key=True)
    room = models.ForeignKey(Room, models.CASCADE, related_name="members")
    is_online = models.BooleanField()
    name = models.CharField(max_length=40)


class Cart(Aging):
    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="bench_cart_due")]


class Order(Aging):
    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="bench_order_due")]


class Line(models.Model):
    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    is_paid = models.BooleanField()
    name = models.CharField(max_length=40)
