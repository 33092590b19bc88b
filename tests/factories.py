"""Rows of the shipped models. Each is not due for anything unless the test says so."""

from datetime import UTC, datetime, time, timedelta

import factory
from django.contrib.auth import get_user_model

from session_cleanup import models

NOW = datetime(2026, 1, 4, 6, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = get_user_model()

    username = factory.Sequence("user{}".format)


class SessionFactory(factory.django.DjangoModelFactory):
    """A collaborative session that does not expire."""

    class Meta:
        model = models.Session

    kind = "collaborative"
    title = factory.Sequence("Session {}".format)
    created_at = NOW
    last_activity_at = NOW


class PresentationFactory(SessionFactory):
    """A blank presentation, made just now."""

    kind = "presentation"
    has_blank_presentation = True


class AfterHoursFactory(SessionFactory):
    kind = "after_hours"


class BrowserFactory(SessionFactory):
    """A browser session of a holder of its own, valid and made just now."""

    kind = "browser"
    holder_type = "lead"
    holder = factory.Sequence(str)
    payload = factory.Sequence(lambda number: {"cookies": [{"name": "sid", "value": str(number)}]})


class MemberFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.SessionMember

    session = factory.SubFactory(SessionFactory)
    user = factory.SubFactory(UserFactory)
    is_online = True


class DeclineFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.SessionDecline

    decliner = factory.SubFactory(UserFactory)
    declined = factory.SubFactory(UserFactory)
    created_at = NOW
    last_declined_at = NOW


class FingerprintFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.DeviceFingerprint

    session = factory.SubFactory(AfterHoursFactory)
    digest = factory.Sequence("digest{}".format)


class ProfileFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.SessionProfile

    user = factory.SubFactory(UserFactory)
    display_name = factory.Sequence("Name {}".format)


class SeriesFactory(factory.django.DjangoModelFactory):
    """Every day at 09:00 in Berlin for an hour, from NOW's day on."""

    class Meta:
        model = models.SessionSeries

    name = factory.Sequence("Series {}".format)
    rule = "FREQ=DAILY"
    time_zone = "Europe/Berlin"
    first_date = NOW.date()
    start_time = time(9)
    duration = HOUR


class OccurrenceFactory(SessionFactory):
    """A session of a series that begins in an hour, for an hour."""

    kind = "recurring"
    series = factory.SubFactory(SeriesFactory)
    is_active = False
    starts_at = NOW + HOUR
    visible_at = factory.SelfAttribute("starts_at")
    expires_at = factory.LazyAttribute(lambda each: each.starts_at + HOUR)
    occurrence = factory.LazyAttribute(lambda each: each.starts_at.replace(tzinfo=None))
