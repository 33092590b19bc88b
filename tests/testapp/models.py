"""Models of a project that uses session_cleanup on its own tables, in every shape that matters."""

import uuid

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from session_cleanup.packing.fields import PackedJSONField
from tests.testapp import shapes  # noqa: F401


class Author(models.Model):
    name = models.CharField(max_length=50, blank=True)
    is_active = models.BooleanField(default=True)
    seen_at = models.DateTimeField(null=True, db_index=True)


class Tag(models.Model):
    name = models.CharField(max_length=50)


class Book(models.Model):
    """A UUID key, a nullable clock, and something below it for every on_delete."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    author = models.ForeignKey(Author, models.CASCADE, null=True, related_name="books")
    title = models.CharField(max_length=50, blank=True)
    is_active = models.BooleanField(default=True)
    read_at = models.DateTimeField(null=True, db_index=True)
    closed_at = models.DateTimeField(null=True)
    tags = models.ManyToManyField(Tag, related_name="books")


class Chapter(models.Model):
    book = models.ForeignKey(Book, models.CASCADE, related_name="chapters")
    is_open = models.BooleanField(default=True)


class Footnote(models.Model):
    chapter = models.ForeignKey(Chapter, models.CASCADE, related_name="footnotes")


class Bookmark(models.Model):
    book = models.ForeignKey(Book, models.SET_NULL, null=True, related_name="bookmarks")
    placed_at = models.DateTimeField(null=True, db_index=True)


class Loan(models.Model):
    book = models.ForeignKey(Book, models.PROTECT, related_name="loans")


class Artist(models.Model):
    seen_at = models.DateTimeField(null=True, db_index=True)


class Album(models.Model):
    artist = models.ForeignKey(Artist, models.CASCADE, related_name="albums")
    seen_at = models.DateTimeField(null=True, db_index=True)


class Song(models.Model):
    """Restricts its album, unless its artist goes and takes it along."""

    artist = models.ForeignKey(Artist, models.CASCADE, related_name="songs")
    album = models.ForeignKey(Album, models.RESTRICT, related_name="songs")


class Comment(models.Model):
    """A tree that cascades into itself."""

    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="replies")
    made_at = models.DateTimeField(null=True, db_index=True)


class VisibleTickets(models.Manager["Ticket"]):
    def get_queryset(self) -> models.QuerySet["Ticket"]:
        return super().get_queryset().filter(is_hidden=False)


class Ticket(models.Model):
    """A text key, a date for a clock, and a default manager that hides rows."""

    code = models.CharField(max_length=20, primary_key=True)
    day = models.DateField(null=True, db_index=True)
    is_hidden = models.BooleanField(default=False)

    objects = VisibleTickets()
    everything = models.Manager()  # noqa: DJ012


class Vehicle(models.Model):
    made_at = models.DateTimeField(null=True, db_index=True)


class Car(models.Model):
    """Refers to a vehicle by a plain number, without a foreign key."""

    vehicle_number = models.BigIntegerField(null=True, db_index=True)


class Truck(Vehicle):
    """Inherits from another table."""

    load = models.IntegerField(default=0)


class Visit(models.Model):
    """A payload with what is known of it, in groups that may be NULL and in an order that may be."""

    author = models.ForeignKey(Author, models.CASCADE, null=True, related_name="visits")
    source = models.CharField(max_length=20, null=True)  # noqa: DJ001
    is_active = models.BooleanField(default=True)
    came_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(default=timezone.now)
    payload = models.JSONField(null=True)
    valid = models.BooleanField(null=True)
    digest = models.CharField(max_length=64, null=True)  # noqa: DJ001
    size = models.PositiveIntegerField(null=True)
    checked_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["author", "source", "came_at", "id"], name="testapp_visit_group")]


class Click(models.Model):
    visit = models.ForeignKey(Visit, models.CASCADE, related_name="clicks")


class Document(models.Model):
    """A JSON column that may be packed, with values that JSON alone cannot say."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    body = PackedJSONField(null=True, encoder=DjangoJSONEncoder)
    made_at = models.DateTimeField(null=True, db_index=True)
