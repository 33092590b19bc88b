"""Leads and their browser sessions: sound, old, too many, corrupted, repeated, encrypted, huge."""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from example_project.shop.models import Lead
from session_cleanup.conf import conf
from session_cleanup.models import Session

LEADS, GONE = 60, 5
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SITES = ("shop", "search", "mail", "maps")
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15",
)
# What programs have left behind in place of a payload.
CORRUPTED: list[Any] = [
    [],
    "[object Object]",
    {"cookies": "sid=1"},
    {"cookies": [{"name": "sid"}]},
    {"localStorage": [["theme", "dark"]]},
    {"viewport": {"width": "1280px"}},
]


def names() -> list[str]:
    return [f"lead {number}" for number in range(LEADS)]


def sessions(leads: Sequence[Lead], now: datetime, mark: str) -> Iterator[Session]:
    """A few for each lead, for every tenth more than it may have; some of them nobody's."""
    chance = random.Random(4)
    for number, lead in enumerate(leads):
        count = conf.MAX_PER_HOLDER + 6 if number % 10 == 0 else 1 + number % 5
        for place in range(count):
            session = _session(chance, now - place * 40 * HOUR, mark, f"{number}.{place}", str(lead.pk))
            session.is_active = place == count - 1 or place % 4 == 1  # the oldest one may be in use
            yield session
    for place in range(8):
        yield _session(chance, now - place * HOUR, mark, f"nobody {place}", None)
    for place in range(12):
        old = now - timedelta(days=conf.EXPIRY_DAYS) - place * DAY
        yield _session(chance, old, mark, f"old {place}", str(leads[place].pk))


def damage(leads: Sequence[Lead], now: datetime) -> None:
    """What happens to such a table in a year: by other programs, so the model is told nothing of it."""
    there = [str(lead.pk) for lead in leads[GONE:]]
    rows = Session._base_manager.filter(kind=Session.Kind.BROWSER, holder__in=there)
    keys = list(rows.filter(created_at__gte=now - 9 * DAY).order_by("pk").values_list("pk", flat=True))
    for payload, key in zip(2 * CORRUPTED, keys[1::7], strict=False):
        rows.filter(pk=key).update(payload=payload, payload_checked_at=None)
    for kind, key in enumerate(keys[3::17]):
        secret = "gAAAAABl" + 40 * "x"
        rows.filter(pk=key).update(
            payload={"encrypted": secret} if kind % 2 else f"enc:{secret}", payload_checked_at=None
        )
    for lead in leads[GONE:20:3]:
        copies = rows.filter(holder=str(lead.pk)).order_by("-created_at")
        newest = copies[0]
        copies.filter(payload_valid=True).update(
            payload=newest.payload,
            payload_digest=newest.payload_digest,
            payload_size=newest.payload_size,
        )
    Lead.objects.filter(pk__in=[lead.pk for lead in leads[:GONE]]).delete()


def _session(chance: random.Random, moment: datetime, mark: str, title: str, holder: str | None) -> Session:
    return Session(
        kind=Session.Kind.BROWSER,
        title=f"{mark}visit {title}",
        holder=holder,
        holder_type="lead",
        is_active=False,
        created_at=moment,
        last_activity_at=moment,
        payload=_payload(chance, huge=chance.random() < 0.02),
    )


def _payload(chance: random.Random, huge: bool) -> dict[str, Any]:
    """Of a few kilobytes, or of a hundred."""

    def token() -> str:
        return f"{chance.getrandbits(128):032x}"

    return {
        "cookies": [
            {"name": f"{site}_sid", "value": token(), "domain": f".{site}.example", "secure": True}
            for site in SITES
        ],
        "localStorage": {"theme": "dark", "cart": token() * (3000 if huge else 1)},
        "sessionStorage": {"tab": token()},
        "userAgent": chance.choice(AGENTS),
        "viewport": {"width": 1280, "height": 720},
        "metadata": {"source": chance.choice(SITES)},
    }
