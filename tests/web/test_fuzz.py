"""Anything at all is thrown at the endpoints, as a server would hand it on.

FUZZ_REQUESTS=10000 makes it that many; without it there are few.
"""

import io
import os
from urllib.parse import quote

import pytest
from django.conf import settings as django_settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, event, example, given
from hypothesis import settings as fuzzing
from hypothesis import strategies as st

from session_cleanup.engine import runner
from session_cleanup.web.bearers import failures

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "250"))
SECRET = "correct-horse-bättery"
RIGHT = f"Bearer {SECRET}".encode()
NAMES = ["housekeeping-undo", "housekeeping-history", "daily"]  # what runs here
METHODS = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"]

octets = st.binary(max_size=40)
words = st.sampled_from(
    [b"undefined", b"null", b"", b"None", b"Bearer", SECRET.encode(), SECRET[:-1].encode()]
)
headers = st.one_of(
    st.none(),
    st.just(RIGHT),
    octets,
    st.builds(
        lambda scheme, space, token: scheme + space + token,
        words,
        st.sampled_from([b" ", b"  ", b"\t", b""]),
        words,
    ),
    words.map(lambda token: b"Bearer " + token),
    st.builds(lambda left, right: left + RIGHT + right, octets, octets),
)
names = st.one_of(
    st.sampled_from(
        [*NAMES, "weekly", "frequent", "axes", "Daily", "daily/x", "../daily", "daily%00", ""]
    ).map(str.encode),
    octets,
)
paths = st.one_of(
    st.builds(lambda name, end: b"/cleanup/cron/" + name + end, names, st.sampled_from([b"/", b"", b"//"])),
    st.sampled_from([b"/cleanup/health/", b"/cleanup/health", b"/cleanup/health/x"]),
    octets.map(lambda rest: b"/cleanup/" + rest),
)
queries = st.one_of(st.just(b""), st.sampled_from([b"dry_run=1", b"max_age=0", b"secret=" + RIGHT]), octets)


@pytest.fixture
def serve(db, declare, settings, monkeypatch):
    """serve(environ): status, headers and body, how many runs that started, and what nobody handled."""
    declare()
    settings.SESSION_CLEANUP_CRON_SECRETS = [SECRET]
    application = WSGIHandler()
    runs, unhandled = [], []
    run = runner.run
    monkeypatch.setattr(runner, "run", lambda request, **more: runs.append(request) or run(request, **more))

    def note(**_):
        unhandled.append(_)

    got_request_exception.connect(note)
    for boundary in (request_started, request_finished):  # it would end the transaction of the test
        boundary.disconnect(close_old_connections)

    def serve(environ):
        said = {}
        runs.clear()
        failures.forget()
        chunks = application(
            environ, lambda status, headers: said.update(status=int(status[:3]), headers=dict(headers))
        )
        body = b"".join(chunks)
        chunks.close()
        return said["status"], said["headers"], body, len(runs), unhandled

    settings.SESSION_CLEANUP_CRON_ALLOW_GET = False  # whatever it is set to, it ends with the test
    yield serve
    for boundary in (request_started, request_finished):
        boundary.connect(close_old_connections)
    got_request_exception.disconnect(note)


def environ_of(method, path, query, header, body, length):
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": length,
        "CONTENT_TYPE": "multipart/form-data; boundary=x",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    return environ if header is None else environ | {"HTTP_AUTHORIZATION": header.decode("latin-1")}


def is_right(header):
    """The rule, told in another way: a word, spaces, the secret, and spaces perhaps."""
    parts = (header or b"").split(b" ")
    return parts[0].lower() == b"bearer" and [part for part in parts[1:] if part] == [SECRET.encode()]


@fuzzing(
    max_examples=REQUESTS,
    deadline=None,
    derandomize=REQUESTS < 1000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=st.sampled_from(METHODS) | st.just("POST"),
    path=paths,
    query=queries,
    header=headers,
    body=octets,
    length=st.sampled_from(["", "0", "-1", "40", "x", "99999999999"]),
    get=st.booleans(),
)
@example(method="POST", path=b"/cleanup/cron/daily/", query=b"", header=RIGHT, body=b"", length="", get=False)
@example(method="GET", path=b"/cleanup/cron/daily", query=b"", header=RIGHT, body=b"", length="", get=True)
@example(method="GET", path=b"/cleanup/cron/daily", query=b"", header=None, body=b"", length="", get=True)
@example(method="POST", path=b"/cleanup/cron/\xff/", query=b"", header=RIGHT, body=b"", length="", get=True)
def test_nothing_is_unhandled_and_nobody_enters_without_the_secret(
    serve, method, path, query, header, body, length, get
):
    django_settings.SESSION_CLEANUP_CRON_ALLOW_GET = get  # the fixture would grow by each of them
    status, head, text, runs, unhandled = serve(environ_of(method, path, query, header, body, length))

    name = path.removeprefix(b"/cleanup/cron/").removesuffix(b"/")
    known = path.startswith(b"/cleanup/cron/") and name.decode("latin-1") in NAMES
    allowed = method == "POST" or (get and method == "GET")
    event(f"{status}")
    assert not unhandled
    assert runs == (is_right(header) and known and allowed and not query), (status, quote(path))
    assert status in {200, 400, 401, 404, 405, 503} | ({409, 500} if runs else set())
    assert SECRET.encode() not in text
    assert b"Traceback" not in text
    if path.startswith(b"/cleanup/cron/") and status in (200, 401, 405):
        assert head["Cache-Control"] == "no-store"
    if path.startswith(b"/cleanup/health") and not is_right(header):
        assert b"housekeeping" not in text
