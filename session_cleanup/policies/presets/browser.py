"""Browser sessions of leads: delete what is old, without a holder, too many, invalid or a copy."""

from datetime import timedelta
from typing import Any

from django.db.models import Q

from session_cleanup.conf import conf
from session_cleanup.policies.actions import Delete
from session_cleanup.policies.looking import Invalid
from session_cleanup.policies.policy import Policy, kept_for
from session_cleanup.policies.presets import browser_compress
from session_cleanup.policies.ranking import Duplicated, Excess
from session_cleanup.policies.selections import Aged, Orphaned, Selection

HOLDER = ("kind", "holder_type", "holder")


def policies() -> list[Policy]:
    where, orphaned = _orphaned()
    return [
        _job(
            "browser-expired",
            Aged("created_at", older_than=timedelta(days=conf.EXPIRY_DAYS)),
            age_option="days",
        ),
        _job("browser-orphaned", orphaned, where=where),
        _job(
            "browser-excess",
            Excess(HOLDER, "created_at", keep=conf.MAX_PER_HOLDER, protect_newest=Q(is_active=True)),
        ),
        _job(
            "browser-invalid",
            Invalid(
                "payload",
                check="session_cleanup.models.payloads.is_browser_payload",
                verdict="payload_valid",
                checked_at="payload_checked_at",
                changed_at="updated_at",
                digest="payload_digest",
                size="payload_size",
            ),
        ),
        browser_compress.compress(),
        _job(
            "browser-duplicates",
            Duplicated(
                HOLDER,
                "created_at",
                digest="payload_digest",
                checked_at="payload_checked_at",
                changed_at="updated_at",
            ),
            group="weekly",
        ),
    ]


def _orphaned() -> tuple[Q, Selection]:
    """Sessions that nobody holds; where SESSION_CLEANUP_HOLDER_MODEL says who could, also those of others."""
    if conf.HOLDER_MODEL is None:
        return Q(holder__isnull=True), Aged("created_at")
    app, model, key = f"{conf.HOLDER_MODEL}.pk".split(".")[:3]
    return Q(), Orphaned("holder", f"{app}.{model}", key, as_text=True, or_null=True)


def _job(name: str, select: Selection, *, where: Q | None = None, **more: Any) -> Policy:
    return Policy(
        name=name,
        model="session_cleanup.Session",
        where=Q(kind="browser") & (where or Q()),
        select=select,
        action=Delete(),
        undo=kept_for(),
        columns=("title", "holder"),
        preset="browser",
        **more,
    )
