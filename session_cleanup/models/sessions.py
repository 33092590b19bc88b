"""The shipped session tables. A project that has its own writes policies for those instead.

Each index is the one that a shipped policy's query uses; the policy is named beside it.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from session_cleanup.conf import conf
from session_cleanup.models.history import as_stored
from session_cleanup.models.payloads import Print, is_browser_payload
from session_cleanup.models.wall import WallTimeField
from session_cleanup.packing.encrypted import is_encrypted
from session_cleanup.packing.fields import PackedJSONField

# A presentation that nobody gave a topic or any content: what presentations-blank deletes.
BLANK = Q(has_blank_presentation=True, has_topic=False, has_user_content=False)
TOUCH_INTERVAL = timedelta(minutes=1)
# Sessions whose payload is not known to be valid: of browser sessions, browser-invalid looks into these.
SUSPECT = Q(payload__isnull=False) & (
    Q(payload_valid=False) | Q(payload_checked_at__isnull=True) | Q(payload_checked_at__lt=F("updated_at"))
)
# An occurrence that nothing has activated yet.
SCHEDULED = Q(kind="recurring", is_active=False, ended_at__isnull=True)
# What is known of a payload. NULL: nothing yet; browser-invalid will find it out.
VERDICT = ("payload_checked_at", "payload_valid", "payload_digest", "payload_size")


class VerdictTime(models.DateTimeField):  # type: ignore[type-arg]
    """When the payload was judged, which is done as the row is written, just after `updated_at` is set."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        if isinstance(model_instance, Session):
            model_instance.judge()
        return super().pre_save(model_instance, add)

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, options


class SessionQuerySet(models.QuerySet["Session"]):
    def update(self, **values: Any) -> int:
        """As ever; but a verdict on a payload does not outlive it."""
        if "payload" in values:
            values = {**dict.fromkeys(VERDICT), **values}
        return super().update(**values)

    def bulk_create(self, objs: Any, *args: Any, **options: Any) -> Any:
        """As ever; where a conflict updates the payload, what is known of it goes with it."""
        fields = options.get("update_fields") or ()
        if "payload" in fields:
            options["update_fields"] = [*fields, *VERDICT]
        return super().bulk_create(objs, *args, **options)

    def active(self) -> Self:
        return self.filter(is_active=True)

    def inactive(self) -> Self:
        return self.filter(is_active=False)

    def open(self) -> Self:
        """Sessions that nobody has ended, expired or not."""
        return self.filter(ended_at__isnull=True)

    def scheduled(self) -> Self:
        """Sessions that have not begun."""
        return self.filter(is_active=False, ended_at__isnull=True)

    def ended(self) -> Self:
        return self.filter(ended_at__isnull=False)

    def visible(self, now: datetime | None = None) -> Self:
        """Occurrences that are to be seen now, whether or not a run has activated them yet."""
        at = as_stored(now or timezone.now())
        return self.open().filter(visible_at__lte=at, expires_at__gt=at)

    def upcoming(self, now: datetime, ahead: timedelta) -> Self:
        """Occurrences that begin within that time, by their start, whatever their state."""
        begins = {"starts_at__gte": as_stored(now), "starts_at__lt": as_stored(now + ahead)}
        return self.filter(kind=Session.Kind.RECURRING, **begins).order_by("starts_at", "pk")

    def blank(self) -> Self:
        """Presentations without a topic and without content."""
        return self.filter(BLANK, kind=Session.Kind.PRESENTATION)

    def start(self, owner: Any, kind: str, *, now: datetime | None = None, **fields: Any) -> "Session":
        """Create a session of `kind` for `owner`, who is never locked out by an expired one.

        The owner's own expired sessions of that kind are closed first, as the next run would do.
        Raises IntegrityError where only one may be open (after_hours) and an unexpired one is.
        """
        now = now or timezone.now()
        with transaction.atomic(using=self.db):
            expired = self.open().filter(owner=owner, kind=kind, expires_at__lt=now)
            expired.update(
                is_active=False,
                ended_at=F("expires_at"),
                end_reason=Session.EndReason.EXPIRED,
                updated_at=now,
            )
            return self.create(owner=owner, kind=kind, **fields)


class Session(models.Model):
    class Kind(models.TextChoices):
        PRESENTATION = "presentation", _("presentation")
        COLLABORATIVE = "collaborative", _("collaborative")
        AFTER_HOURS = "after_hours", _("after hours")
        BROWSER = "browser", _("browser")
        RECURRING = "recurring", _("recurring")

    class EndReason(models.TextChoices):
        ENDED = "ended", _("ended")  # somebody ended it
        EXPIRED = "expired", _("expired")  # its time was over; set by a cleanup run or by start()
        CANCELLED = "cancelled", _("cancelled")  # called off before it began
        MISSED = "missed", _("missed")  # over before anything activated it

    id = models.BigAutoField(primary_key=True)
    uid = models.UUIDField(_("uid"), default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    title = models.CharField(_("title"), max_length=200, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        verbose_name=_("owner"),
        related_name="owned_sessions",
        null=True,
        blank=True,
    )
    # A holder is known to another system only by its key; NULL: nobody holds the session.
    holder = models.CharField(_("holder"), max_length=64, null=True, blank=True)  # noqa: DJ001
    holder_type = models.CharField(_("holder type"), max_length=20, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    starts_at = models.DateTimeField(_("starts at"), null=True, blank=True)
    # NULL never expires.
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    last_activity_at = models.DateTimeField(_("last activity"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    end_reason = models.CharField(_("end reason"), max_length=20, choices=EndReason, blank=True)
    has_blank_presentation = models.BooleanField(_("has a blank presentation"), default=False)
    has_topic = models.BooleanField(_("has a topic"), default=False)
    has_user_content = models.BooleanField(_("has user content"), default=False)
    payload = PackedJSONField(_("payload"), null=True, blank=True)
    # Of browser sessions only. The time comes first: as it is written, it finds out the others.
    payload_checked_at = VerdictTime(_("payload checked at"), null=True, editable=False)
    payload_valid = models.BooleanField(_("payload is valid"), null=True, editable=False)
    payload_digest = models.CharField(  # noqa: DJ001
        _("payload digest"), max_length=64, null=True, editable=False
    )
    payload_size = models.PositiveIntegerField(_("payload size"), null=True, editable=False)
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    series = models.ForeignKey(
        "SessionSeries",
        models.SET_NULL,
        verbose_name=_("series"),
        related_name="sessions",
        null=True,
        blank=True,
        db_index=False,
    )
    # When it begins by the rule of its series, in wall time: it keeps that when it is moved.
    occurrence = WallTimeField(_("original start"), null=True, blank=True, editable=False)
    visible_at = models.DateTimeField(_("visible at"), null=True, blank=True)  # it becomes active then
    # Changed by itself: changes of the series leave it alone.
    is_detached = models.BooleanField(_("detached from its series"), default=False, db_default=False)

    objects = SessionQuerySet.as_manager()
    # Cookies and tokens, and what tells a copy of them: undo records have them encrypted or not at all.
    cleanup_secret = ("payload", "payload_digest")

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        constraints = [
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(ended_at__isnull=True),
                name="session_active_is_not_ended",
                violation_error_message=_("An active session has no end."),
            ),
            models.UniqueConstraint(
                fields=["owner"],
                condition=Q(kind="after_hours", ended_at__isnull=True),
                name="session_one_open_after_hours",
                violation_error_message=_("This user has an open after-hours session."),
            ),
            models.UniqueConstraint(
                fields=["series", "occurrence"],
                condition=Q(series__isnull=False),
                name="session_occurrence_once",
                violation_error_message=_("The series has this session already."),
            ),
        ]
        indexes = [
            # presentations-blank; constant leading columns would only make it larger
            models.Index(fields=["created_at", "id"], condition=BLANK, name="idx_sessions_blank_cleanup"),
            # collaborative-expired
            models.Index(fields=["kind", "is_active", "expires_at", "id"], name="idx_sessions_expired"),
            # after-hours-close
            models.Index(
                fields=["expires_at", "id"],
                condition=Q(ended_at__isnull=True),
                name="idx_sessions_open_expired",
            ),
            # browser-compress
            models.Index(
                fields=["kind", "created_at", "id"],
                condition=Q(payload__is_packable=True),
                name="idx_sessions_packable",
            ),
            # after-hours-ended
            models.Index(
                fields=["kind", "ended_at", "id"],
                condition=Q(ended_at__isnull=False),
                name="idx_sessions_ended",
            ),
            # browser-expired
            models.Index(fields=["kind", "created_at", "id"], name="idx_sessions_created"),
            # browser-orphaned, unless SESSION_CLEANUP_HOLDER_MODEL is set
            models.Index(
                fields=["kind", "created_at", "id"],
                condition=Q(holder__isnull=True),
                name="idx_sessions_unheld",
            ),
            # browser-excess
            models.Index(
                fields=["kind", "holder_type", "holder", "created_at", "id"], name="idx_sessions_holder"
            ),
            # browser-invalid
            models.Index(fields=["kind", "updated_at", "id"], condition=SUSPECT, name="idx_sessions_suspect"),
            # browser-duplicates
            models.Index(
                fields=["kind", "holder_type", "holder", "payload_digest", "created_at", "id"],
                condition=Q(payload_digest__isnull=False),
                name="idx_sessions_digest",
            ),
            # recurring-activate; not by the kind, since SQLite compares no parameter with a condition
            models.Index(
                fields=["visible_at", "id"],
                condition=Q(visible_at__isnull=False, is_active=False, ended_at__isnull=True),
                name="idx_sessions_scheduled",
            ),
            # recurring-close
            models.Index(
                fields=["expires_at", "id"],
                condition=Q(kind="recurring", ended_at__isnull=True),
                name="idx_sessions_unclosed",
            ),
            # what is coming up
            models.Index(
                fields=["starts_at", "id"], condition=Q(kind="recurring"), name="idx_sessions_upcoming"
            ),
            # the sessions of a series, also when it is deleted
            models.Index(
                fields=["series", "starts_at"],
                condition=Q(series__isnull=False),
                name="idx_sessions_series",
            ),
        ]

    def __str__(self) -> str:
        return self.title or f"{self.get_kind_display()} {self.uid}"

    def save(self, **options: Any) -> None:
        """As ever; with the payload goes what is known of it."""
        fields = options.get("update_fields")
        if fields is not None and "payload" in fields:
            options["update_fields"] = {*fields, *VERDICT}
        super().save(**options)

    @property
    def state(self) -> str:
        """scheduled, active, or how it ended: closed, cancelled or missed."""
        if self.ended_at is None:
            return "active" if self.is_active else "scheduled"
        return str(self.end_reason) if self.end_reason in ("cancelled", "missed") else "closed"

    def give_topic(self) -> None:
        """Record that the presentation has a topic, so that it is no orphan any more."""
        self._set(has_topic=True)

    def mark_content(self) -> None:
        """Record that the user typed something, so that it is no orphan any more."""
        self._set(has_user_content=True)

    def touch(self, now: datetime | None = None) -> bool:
        """Move the expiry on by SESSION_CLEANUP_INACTIVITY_DAYS; written at most once a minute.

        Race-safe: neither date ever moves back, an ended session stays ended, and a session that never
        expires stays so. Returns whether something was written.
        """
        now = now or timezone.now()
        expiry = now + timedelta(days=conf.INACTIVITY_DAYS)
        rows = type(self)._base_manager.filter(
            pk=self.pk, is_active=True, last_activity_at__lt=now - TOUCH_INTERVAL
        )
        written = rows.update(
            last_activity_at=now,
            updated_at=now,
            expires_at=Case(When(expires_at__lt=expiry, then=Value(expiry)), default=F("expires_at")),
        )
        if written:
            self.refresh_from_db(fields=["last_activity_at", "updated_at", "expires_at"])
        return bool(written)

    def judge(self) -> None:
        """Find out what is to be known of the payload, as of the last change; of a deferred one nothing."""
        if "payload" not in self.__dict__:
            return
        for name in VERDICT:
            setattr(self, name, None)
        if self.kind != self.Kind.BROWSER or self.payload is None or hasattr(self.payload, "as_sql"):
            return
        printed = Print.of(self.payload)
        self.payload_valid = is_encrypted(self.payload) or is_browser_payload(self.payload)
        self.payload_digest, self.payload_size = printed.digest, printed.size
        self.payload_checked_at = self.updated_at

    def _set(self, **fields: Any) -> None:
        """Write single columns, so that a concurrent writer of the others is not overwritten."""
        for name, value in fields.items():
            setattr(self, name, value)
        self.save(update_fields=[*fields, "updated_at"])


class SessionMember(models.Model):
    class Permission(models.TextChoices):
        VIEW = "view", _("view")
        EDIT = "edit", _("edit")

    id = models.BigAutoField(primary_key=True)
    session = models.ForeignKey(
        Session, models.CASCADE, verbose_name=_("session"), related_name="members", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("user"), related_name="session_memberships"
    )
    permission = models.CharField(_("permission"), max_length=4, choices=Permission, default=Permission.VIEW)
    is_online = models.BooleanField(_("online"), default=False)
    joined_at = models.DateTimeField(_("joined at"), default=timezone.now)
    last_seen_at = models.DateTimeField(_("last seen at"), null=True, blank=True)

    class Meta:
        verbose_name = _("session member")
        verbose_name_plural = _("session members")
        constraints = [
            # Its index also serves the foreign key on session: members follow their session offline.
            models.UniqueConstraint(fields=["session", "user"], name="session_member_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.session_id}"


class SessionDecline(models.Model):
    """One user turned another down, `count` times, last at `last_declined_at`."""

    id = models.BigAutoField(primary_key=True)
    decliner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        verbose_name=_("decliner"),
        related_name="declines_made",
        db_index=False,
    )
    declined = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        verbose_name=_("declined"),
        related_name="declines_received",
    )
    count = models.PositiveIntegerField(_("count"), default=1)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    last_declined_at = models.DateTimeField(_("last declined at"), default=timezone.now)

    class Meta:
        verbose_name = _("decline")
        verbose_name_plural = _("declines")
        constraints = [
            models.UniqueConstraint(fields=["decliner", "declined"], name="session_decline_once"),
        ]
        indexes = [
            # after-hours-declines
            models.Index(fields=["last_declined_at", "id"], name="idx_declines_last"),
        ]

    def __str__(self) -> str:
        return f"{self.decliner_id} declined {self.declined_id}"


class DeviceFingerprint(models.Model):
    """A device seen in a session. The reference is loose, so it may outlive the session."""

    id = models.BigAutoField(primary_key=True)
    session = models.ForeignKey(
        Session,
        models.DO_NOTHING,
        verbose_name=_("session"),
        related_name="fingerprints",
        db_constraint=False,
        db_index=False,
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        verbose_name=_("user"),
        related_name="device_fingerprints",
        null=True,
        blank=True,
    )
    digest = models.CharField(_("digest"), max_length=128)
    platform = models.CharField(_("platform"), max_length=50, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        verbose_name = _("device fingerprint")
        verbose_name_plural = _("device fingerprints")
        indexes = [
            # after-hours-fingerprints
            models.Index(fields=["session", "id"], name="idx_fingerprints_session"),
        ]

    def __str__(self) -> str:
        return f"{self.platform} {self.digest[:12]}".strip()


class SessionProfile(models.Model):
    """What a user is called in sessions. The reference is loose, so it may outlive the user."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        verbose_name=_("user"),
        related_name="session_profiles",
        db_constraint=False,
        db_index=False,
    )
    display_name = models.CharField(_("display name"), max_length=100)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        verbose_name = _("session profile")
        verbose_name_plural = _("session profiles")
        indexes = [
            # after-hours-profiles
            models.Index(fields=["user", "id"], name="idx_profiles_user"),
        ]

    def __str__(self) -> str:
        return self.display_name
