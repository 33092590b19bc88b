"""Browser sessions as a CRM stores them, made up: the same ones on every machine, from a seed.

Names, origins and texts come from fixed lists, as in real cookies and storages. What differs between two
sessions of one site is what differs there: moments, counters, places on a page, and `tokens` values that
are random to the last character (session ids, keys of analytics, CSRF tokens), which nothing can shorten.
"""

import base64
from collections.abc import Iterator
from random import Random
from typing import Any

SEED = 20_260_104
SMALLEST, LARGEST = 500, 5_000  # characters of a payload as JSON
BEGAN = 1_767_225_600  # seconds since 1970: 2026-01-01

SITES = ["app.northwind.example", "www.contoso.example", "crm.fabrikam.example", "shop.adatum.example"]
TOKENS = ["sessionid", "csrftoken", "_ga_client", "ajs_anonymous_id", "remember_web", "intercom-device-id"]
COOKIES = {
    "cookie_consent": ["necessary", "necessary,analytics", "necessary,analytics,marketing"],
    "locale": ["en-GB", "de-DE", "fr-FR", "pt-BR", "it-IT", "es-ES"],
    "theme": ["dark", "light", "system"],
    "currency": ["EUR", "USD", "GBP", "BRL"],
    "ab_checkout": ["control", "variant-a", "variant-b"],
    "utm_source": ["newsletter", "google", "linkedin", "direct", "partner"],
    "utm_campaign": ["spring-sale", "webinar-onboarding", "brand", "retargeting-90d"],
    "hide_banner": ["true", "false"],
    "timezone": ["Europe/Berlin", "Europe/London", "America/Sao_Paulo", "Europe/Madrid"],
    "__stripe_mode": ["live", "test"],
}
AGENTS = [
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{release}.0.0.0 Safari/537.36"
    for system in ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
    for release in (139, 140, 141, 142, 143)
]
VIEWPORTS = [(1920, 1080), (1536, 864), (1440, 900), (1366, 768), (390, 844), (412, 915), (820, 1180)]
PAGES = ["/", "/pricing", "/features/pipeline", "/signup", "/account/billing", "/docs/import", "/contact"]
PRODUCTS = ["starter-plan", "team-plan", "enterprise-plan", "onboarding-package", "api-add-on"]
NAMES = ["companyName", "jobTitle", "phoneNumber", "teamSize", "interest", "preferredContact", "budgetRange"]
ANSWERS = ["1-10", "11-50", "51-200", "Sales operations", "by e-mail", "under 5,000 a year", "Demo requested"]


def payloads(count: int, tokens: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """`count` sessions, each with so many random tokens."""
    random = Random(f"{seed}/{tokens}")
    for _ in range(count):
        yield _payload(random, tokens, random.randint(SMALLEST, LARGEST))


def _payload(random: Random, tokens: int, size: int) -> dict[str, Any]:
    site = random.choice(SITES)
    width, height = random.choice(VIEWPORTS)
    names = random.sample(TOKENS, tokens)
    in_cookies = names[: (tokens + 1) // 2]
    payload: dict[str, Any] = {
        "cookies": [_cookie(random, site, name, _token(random)) for name in in_cookies],
        "localStorage": {name: _token(random) for name in names[len(in_cookies) :]},
        "sessionStorage": {},
        "userAgent": random.choice(AGENTS),
        "viewport": {"width": width, "height": height},
        "metadata": {"origin": f"https://{site}", "captured": _moment(random)},
    }
    written = len(str(payload))
    adding = [_add_cookie, _add_visit, _add_form, _add_cart]
    while written < size - 120:
        written += random.choice(adding)(random, site, payload)
    return payload


def _add_cookie(random: Random, site: str, payload: dict[str, Any]) -> int:
    name = random.choice(list(COOKIES))
    cookie = _cookie(random, site, name, random.choice(COOKIES[name]))
    payload["cookies"].append(cookie)
    return len(str(cookie))


def _add_visit(random: Random, site: str, payload: dict[str, Any]) -> int:
    visits = payload["sessionStorage"].setdefault("visits", [])
    visits.append(
        {
            "path": random.choice(PAGES),
            "at": _moment(random),
            "scroll": random.randint(0, 100),
            "ms": random.randint(1, 90_000),
        }
    )
    return len(str(visits[-1]))


def _add_form(random: Random, site: str, payload: dict[str, Any]) -> int:
    key = f"draft:{random.choice(PAGES)}:{random.choice(NAMES)}"
    payload["localStorage"][key] = {"value": random.choice(ANSWERS), "dirty": random.random() < 0.5}
    return len(key) + len(str(payload["localStorage"][key]))


def _add_cart(random: Random, site: str, payload: dict[str, Any]) -> int:
    cart = payload["localStorage"].setdefault("cart", [])
    cart.append(
        {
            "product": random.choice(PRODUCTS),
            "seats": random.randint(1, 25),
            "billing": random.choice(["monthly", "yearly"]),
            "addedFrom": f"https://{site}{random.choice(PAGES)}",
        }
    )
    return len(str(cart[-1]))


def _cookie(random: Random, site: str, name: str, value: str) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "domain": f".{site}",
        "path": "/",
        "expires": BEGAN + random.randint(1, 365) * 86_400,
        "httpOnly": random.random() < 0.3,
        "secure": True,
        "sameSite": random.choice(["Lax", "Strict", "None"]),
    }


def _token(random: Random) -> str:
    """One of the three forms in which such values come: hexadecimal, base64 or a UUID's."""
    value = random.randbytes(16)
    form = random.randrange(3)
    if form == 0:
        return value.hex()
    if form == 1:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _moment(random: Random) -> int:
    """Milliseconds since 1970, as scripts write them."""
    return (BEGAN + random.randint(0, 90 * 86_400)) * 1000 + random.randint(0, 999)
