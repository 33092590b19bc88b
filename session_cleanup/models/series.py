"""Series of sessions: what recurs, and for whom.

A series is no session, so nothing can ever activate or close it.
"""

import re
import uuid
from datetime import UTC, datetime, time, timedelta
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from session_cleanup.conf import conf
from session_cleanup.exceptions import RuleError
from session_cleanup.models.history import as_stored
from session_cleanup.models.sessions import Session, SessionMember
from session_cleanup.rules.rule import Rule
from session_cleanup.rules.wall import midnight, moment, wall_time, zone_of

DAY = timedelta(days=1)
LONGEST = 366 * DAY
PLACE = re.compile(r"\{[^{}]*\}")
PLACES = ("{name}", "{date}", "{time}")


def covered(now: datetime, days: int) -> datetime:
    """The moment up to which a run at `now` generates what begins within `days`: the end of a UTC day."""
    return datetime.combine(now.astimezone(UTC).date(), time.min, UTC) + (days + 1) * DAY


class EndTime(models.DateTimeField):  # type: ignore[type-arg]
    """When nothing of a series begins any more, found out as its row is written."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        if isinstance(model_instance, SessionSeries):
            model_instance.ends_at = model_instance.end()
        return super().pre_save(model_instance, add)

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, options


class SessionSeriesQuerySet(models.QuerySet["SessionSeries"]):
    def generated(self) -> Self:
        """Series that runs generate."""
        return self.filter(is_active=True, kind=Session.Kind.RECURRING)

    def to_generate(self, now: datetime) -> Self:
        """Series of which something within their horizon may not have been generated yet."""
        rows = self.generated()
        due = Q(pk__in=[])
        for days in rows.order_by().values_list("horizon_days", flat=True).distinct():
            until = as_stored(covered(now, conf.HORIZON_DAYS if days is None else days))
            lacking = Q(generated_until__isnull=True) | Q(generated_until__lt=until)
            due |= Q(horizon_days=days) & lacking if days else Q(horizon_days__isnull=True) & lacking
        return rows.filter(due)


class SessionSeries(models.Model):
    """What recurs. Times are wall times of its own zone."""

    id = models.BigAutoField(primary_key=True)
    uid = models.UUIDField(_("uid"), default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=150)
    # Of the sessions. The jobs of the preset take care of recurring ones only.
    kind = models.CharField(
        _("kind"), max_length=20, choices=Session.Kind, default=Session.Kind.RECURRING, editable=False
    )
    rule = models.TextField(_("rule"), help_text=_("As in RFC 5545: FREQ=WEEKLY;BYDAY=MO,WE"))
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    first_date = models.DateField(_("first date"))
    start_time = models.TimeField(_("start time"))
    duration = models.DurationField(_("duration"))  # elapsed time, whatever the clocks do meanwhile
    # How long before its start a session becomes active. NULL: at midnight of its day.
    visible_before = models.DurationField(
        _("visible before"),
        default=timedelta(0),
        null=True,
        blank=True,
        help_text=_("Empty: from midnight of its day."),
    )
    horizon_days = models.PositiveSmallIntegerField(
        _("days ahead"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(366)],
        help_text=_("Empty: SESSION_CLEANUP_HORIZON_DAYS."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    title_pattern = models.CharField(
        _("title"), max_length=200, default="{name} - {date}", help_text=_("With {name}, {date} and {time}.")
    )
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="SeriesMember", verbose_name=_("members"), blank=True
    )
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    # Nothing begins after it; NULL: it goes on for ever, or its rule is none.
    ends_at = EndTime(_("ends at"), null=True, editable=False)
    # What begins before this has been generated, or is not wanted: what was deleted does not come back.
    generated_until = models.DateTimeField(_("generated until"), null=True, editable=False)
    problem = models.TextField(_("problem"), blank=True, editable=False)  # why nothing could be generated

    objects = SessionSeriesQuerySet.as_manager()

    class Meta:
        verbose_name = _("series")
        verbose_name_plural = _("series")
        constraints = [
            models.CheckConstraint(
                condition=Q(duration__gt=timedelta(0), duration__lte=LONGEST),
                name="series_duration",
                violation_error_message=_("A session lasts longer than nothing, and 366 days at most."),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, **options: Any) -> None:
        """As ever; with the rule goes what follows from it."""
        fields = options.get("update_fields")
        if fields is not None and set(fields) & {"rule", "time_zone", "first_date", "start_time"}:
            options["update_fields"] = {*fields, "ends_at"}
        super().save(**options)

    def clean(self) -> None:
        """Refuse what could not be generated, with the field that is wrong."""
        problems: dict[str, str] = {}
        for field, check in (("time_zone", self._check_zone), ("rule", self._check_rule)):
            try:
                check()
            except RuleError as error:
                problems[field] = str(error)
        if strange := sorted(set(PLACE.findall(self.title_pattern)) - set(PLACES)):
            problems["title_pattern"] = f"{strange[0]} is not known. There are {', '.join(PLACES)}."
        if self.visible_before is not None and not timedelta(0) <= self.visible_before <= LONGEST:
            problems["visible_before"] = "Give nothing to 366 days."
        if problems:
            raise ValidationError(problems)

    def _check_zone(self) -> None:
        zone_of(self.time_zone)

    def _check_rule(self) -> None:
        if self.first_date is not None and self.start_time is not None:
            Rule.parse(self.rule).check(self.first)

    @property
    def first(self) -> datetime:
        """The wall time from which the rule counts."""
        return datetime.combine(self.first_date, self.start_time)

    def end(self) -> datetime | None:
        """The moment after which nothing begins; None: it goes on for ever, or its rule is none."""
        fields: list[Any] = [self._meta.get_field(name) for name in ("first_date", "start_time")]
        day, clock = (field.to_python(field.value_from_object(self)) for field in fields)
        try:
            zone = zone_of(self.time_zone)
            last = Rule.parse(self.rule).last(datetime.combine(day, clock), zone)
            return None if last is None else as_stored(moment(last, zone))
        except (RuleError, OverflowError, ValueError):
            return None

    def state_at(self, now: datetime) -> str:
        """active; ended: nothing begins any more; or inactive: it is not generated."""
        if not self.is_active:
            return "inactive"
        return "ended" if self.ends_at is not None and self.ends_at < as_stored(now) else "active"

    @property
    def notice(self) -> str | None:
        """What may surprise about the rule: the months that it skips."""
        return Rule.parse(self.rule).notice(self.first_date)

    def starts(self, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """(moment in UTC, wall time) of what begins within begin <= moment < end, by moment.

        Raises RuleError for a rule or a zone that is not one.
        """
        zone = zone_of(self.time_zone)
        after = wall_time(max(begin, datetime.min.replace(tzinfo=UTC) + 2 * DAY), zone) - DAY
        before = wall_time(end, zone) + DAY
        walls = Rule.parse(self.rule).between(self.first, after, before, zone)
        found = ((moment(wall, zone), wall) for wall in walls)
        return sorted(each for each in found if begin <= each[0] < end)

    def visible_at(self, start: datetime, wall: datetime) -> datetime:
        """When the session that begins at `start` becomes active."""
        if self.visible_before is None:
            return min(start, midnight(wall.date(), zone_of(self.time_zone)))
        return start - self.visible_before

    def title(self, wall: datetime) -> str:
        """What a session is called that begins at that wall time."""
        shown = {"{name}": self.name, "{date}": f"{wall:%d/%m/%Y}", "{time}": f"{wall:%H:%M}"}
        text = PLACE.sub(lambda found: shown.get(found[0], found[0]), self.title_pattern)
        return text[:200]


class SeriesMember(models.Model):
    """Somebody who becomes a member of each session of a series."""

    id = models.BigAutoField(primary_key=True)
    series = models.ForeignKey(SessionSeries, models.CASCADE, verbose_name=_("series"), db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("user"), related_name="series_memberships"
    )
    permission = models.CharField(
        _("permission"),
        max_length=4,
        choices=SessionMember.Permission,
        default=SessionMember.Permission.VIEW,
    )

    class Meta:
        verbose_name = _("series member")
        verbose_name_plural = _("series members")
        constraints = [models.UniqueConstraint(fields=["series", "user"], name="series_member_once")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.series_id}"
