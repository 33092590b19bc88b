"""The statistics page in a real browser, light and dark, wide and narrow.

SCREENSHOT_DIR keeps the pictures; without it they go with the test's temporary directory.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from session_cleanup.models import Hold
from tests.factories import HOUR, AfterHoursFactory, FingerprintFactory, PresentationFactory, SessionFactory

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
]
PAGE = "/admin/session_cleanup/cleanuprun/stats/"
ARGUMENTS = ["--no-sandbox", "--disable-background-networking"]
OVERFLOW = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # playwright's loop runs in the thread of the test
    try:
        with playwright.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            yield browser
            browser.close()
    finally:
        os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE")
        if before is not None:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    chosen = Path(os.environ.get("SCREENSHOT_DIR") or tmp_path)
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


@pytest.fixture
def rows(record: Callable[..., Any]) -> None:
    """A site with a past: some of everything, and runs of each kind."""
    now = timezone.now()
    for hours, count in ((0, 3), (2, 5), (7, 4), (25, 3)):
        PresentationFactory.create_batch(count, created_at=now - hours * HOUR)
    SessionFactory.create_batch(7, expires_at=now + HOUR)
    SessionFactory.create_batch(4, expires_at=now - HOUR)
    SessionFactory.create_batch(6, is_active=False, ended_at=now - 2 * HOUR)
    SessionFactory(is_active=False)
    Hold.objects.place(SessionFactory(expires_at=now - HOUR))
    AfterHoursFactory.create_batch(2, expires_at=now - HOUR)
    FingerprintFactory(session=None, session_id=10**9)
    drained = {"presentations-blank": "drained", "collaborative-expired": "drained_with_skips"}
    failed = {**drained, "after-hours-close": "failed"}
    record("failed", ago=30 * HOUR, jobs=failed, finished_at=now - 29 * HOUR)
    record("running", ago=26 * HOUR, jobs={"after-hours-fingerprints": ""})
    record("incomplete", ago=7 * HOUR, jobs={"after-hours-declines": "capped"}, actor="root")
    record("ok", ago=HOUR, jobs=drained, finished_at=now - HOUR + timedelta(seconds=2.3))
    record("running", jobs={"housekeeping-history": ""})


def session_cookie() -> dict[str, str]:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin", "", "admin"))
    name = settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value}


@pytest.mark.parametrize("width", [1280, 390])
def test_the_statistics_page(width: int, browser: Any, live_server: Any, rows: None, pictures: Path) -> None:
    cookie = session_cookie() | {"url": live_server.url}
    backgrounds = {}
    for scheme in ("light", "dark"):
        with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}) as context:
            context.add_cookies([cookie])
            page = context.new_page()
            page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
            complaints: list[str] = []
            page.on("console", lambda message, into=complaints: into.append(message.text))
            page.on("pageerror", lambda error, into=complaints: into.append(str(error)))
            page.on("requestfailed", lambda request, into=complaints: into.append(request.url))

            assert page.goto(live_server.url + PAGE).ok
            page.screenshot(path=pictures / f"stats-{scheme}-{width}.png", full_page=True)

            assert complaints == []
            assert page.locator("#content-main table:visible").count() == 4
            assert page.get_by_text("presentations-blank").first.is_visible()
            assert page.get_by_text("died", exact=True).first.is_visible()
            assert page.evaluate(OVERFLOW) == 0
            backgrounds[scheme] = page.evaluate(BACKGROUND)
    assert backgrounds["light"] != backgrounds["dark"]
