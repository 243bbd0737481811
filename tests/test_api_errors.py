"""Every error of every address under /api/ has one shape; what all answers carry in their headers."""
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from api_kit import Api, check_error, on_sqlite

pytest_plugins = "api_fixtures"

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
ORIGIN = "https://www.example.com"
SHAPE = {"success", "code", "error", "message"}


def paths(app: Flask, prefix: str) -> Iterator[tuple[str, set[str]]]:
    """(an address, its methods) of every rule that begins with this prefix."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(prefix):
            one_of_many = re.sub(r"<any\((\w+)[^>]*>", r"\1", rule.rule)
            yield re.sub(r"<[^>]+>", "nobody", one_of_many), set(rule.methods or ())


def check_answer(answer: Any, method: str) -> None:
    if method == "HEAD" or answer.status_code in (204, 304) or (method == "OPTIONS" and answer.status_code == 200):
        assert answer.data == b""
        return
    if answer.request.path == "/api/docs" and answer.status_code == 200:  # the one page among them
        assert answer.mimetype == "text/html"
        return
    assert answer.headers["Content-Type"] == "application/json", (method, answer.request.path, answer.status_code)
    body = answer.get_json()
    if answer.status_code >= 400 and not answer.request.path.startswith("/api/health"):
        assert SHAPE <= set(body) and body["success"] is False
        assert all(isinstance(body[key], str) and body[key] for key in SHAPE - {"success"})


# ---- the one shape

def test_every_rule_and_every_method_answers_in_the_one_shape(make_api: Callable[..., Api]) -> None:
    api = make_api(admin_password="open sesame", submissions_per_hour_per_ip=1000)
    found: dict[str, set[str]] = {}
    for path, methods in paths(api.app, "/api"):
        found.setdefault(path, set()).update(methods)
    assert len(found) >= 8, "the walk has lost the rules"
    for number, (path, allowed) in enumerate(found.items()):
        for method in METHODS:  # each address from elsewhere, because wrong logins are counted
            answer = api.client.open(path, method=method, environ_base={"REMOTE_ADDR": f"198.51.100.{number}"})
            check_answer(answer, method)
            if method in allowed:
                assert answer.status_code != 405, (method, path)
            else:
                assert answer.status_code == 405, (method, path)
                assert set(answer.headers["Allow"].split(", ")) == allowed


@on_sqlite
@pytest.mark.parametrize("path", [
    "/api/", "/api/nothing", "/api/submissions/", "/api/submissions/x", "/api/submissions/x/status/", "/api/results",
    "/api/results/",
    "/api/results/a/b", "/api/health/", "/api//health", "/api/webhook/a/b", "/api/webhook//a", "/api/%00", "/api/%ff",
    "/api/🐶",
    "/api/../secret", "/api/admin", "/api/availability.json", "/api/<script>", "/api/static/img/share.jpg",
    "/api/storage/video/x.mp4",
    "/api/" + "x" * 5000,
])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_unknown_addresses_below_api_are_404_in_json(api: Api, path: str, method: str) -> None:
    check_error(api.client.open(path, method=method), 404, "not_found")


@pytest.mark.parametrize("path", ["/api/submissions", "/api/webhook", "/api/webhook/x"])
@pytest.mark.parametrize("content_type", ["text/html", "", "multipart/form-data", "application/json; charset=klingon", "\xff"])
def test_odd_content_types_stay_in_shape(api: Api, path: str, content_type: str) -> None:
    answer = api.client.post(path, data=b"\xff", content_type=content_type)
    check_answer(answer, "POST")
    assert answer.status_code in (400, 404, 415)


def test_a_crash_is_500_without_its_reason(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any) -> None:
        raise RuntimeError("a secret reason")

    monkeypatch.setattr("petsong.web.submissions.estimates.expected_wait", crash)
    answer = api.get("/api/availability")
    body = check_error(answer, 500, "server_error", "Something went wrong. Please try again.")
    assert body["error"] == "server_error" and "secret" not in answer.text
    monkeypatch.setattr("petsong.web.pages.Frame.preview", crash)
    page = api.get("/")
    assert (page.status_code, page.mimetype) == (500, "text/html")
    assert "secret" not in page.text and "Traceback" not in page.text


def test_errors_of_pages_are_pages(api: Api) -> None:
    for path, method, status in (("/nothing", "GET", 404), ("/", "POST", 405), ("/apiary", "GET", 404),
        ("/storage/x", "GET", 404)):
        answer = api.client.open(path, method=method)
        assert (answer.status_code, answer.mimetype) == (status, "text/html")
        assert "<h1" in answer.text and 'href="/"' in answer.text


@pytest.mark.parametrize("path", ["/result/nobody", "/waiting/nobody", "/storage/video/nobody.mp4",
    "/storage/poster/nobody.jpg",
                                  "/storage/preview/nobody.jpg", "/storage/captions/nobody.vtt"])
def test_unknown_songs_have_a_friendly_page(api: Api, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert answer.headers["X-Robots-Tag"] == "noindex" and 'href="/"' in answer.text


# ---- headers of everything

@on_sqlite
@pytest.mark.parametrize("path", ["/", "/terms", "/nothing", "/result/nobody", "/api/availability", "/api/nothing",
    "/api/health/live",
                                  "/api/results/nobody", "/storage/video/nobody.mp4", "/static/css/base.css"])
def test_every_answer_carries_the_security_headers(api: Api, path: str) -> None:
    with api.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
        assert "unsafe" not in policy and "http:" not in policy and "*" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "geolocation=()" in answer.headers["Permissions-Policy"]
        assert "Set-Cookie" not in answer.headers


def test_answers_of_the_api_are_not_stored(api: Api) -> None:
    api.song("song1")
    for path in ("/api/availability", "/api/health", "/api/nothing"):
        assert api.get(path).headers["Cache-Control"] == "no-store"
    assert api.post().headers["Cache-Control"] == "no-store"
    for path in ("/api/submissions/song1/status", "/api/results/song1"):
        assert api.get(path).headers["Cache-Control"] == "private, no-cache"


# ---- CORS

CORS = ("Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
        "Access-Control-Expose-Headers")


def preflight(api: Api, origin: str = ORIGIN, path: str = "/api/submissions") -> Any:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "idempotency-key"}
    return api.client.options(path, headers=headers)


@on_sqlite
def test_by_default_no_origin_is_allowed(api: Api) -> None:
    for answer in (preflight(api), api.get("/api/availability", Origin=ORIGIN)):
        assert not [name for name in answer.headers.keys() if name.startswith("Access-Control")]


@on_sqlite
def test_allowed_origins_may_use_the_api(make_api: Callable[..., Api]) -> None:
    api = make_api(allowed_origins=f"{ORIGIN},https://other.example.com:8443")
    for answer in (preflight(api), api.get("/api/availability", Origin=ORIGIN), api.get("/api/nothing", Origin=ORIGIN)):
        assert [answer.headers[name] for name in CORS] == [
            ORIGIN, "GET, POST, OPTIONS", "Content-Type, Idempotency-Key", "Retry-After, ETag",
        ]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]
    assert preflight(api).status_code in (200, 204)
    other = "https://other.example.com:8443"
    assert preflight(api, other).headers["Access-Control-Allow-Origin"] == other


@on_sqlite
@pytest.mark.parametrize("origin", [
    "https://evil.example", "http://www.example.com", "https://www.example.com.evil.example",
    "https://www.example.com:444", "null",
    "", "https://WWW.example.com/", "*", "https://www.example.com,https://evil.example",
])
def test_other_origins_may_not(make_api: Callable[..., Api], origin: str) -> None:
    api = make_api(allowed_origins=ORIGIN)
    for answer in (preflight(api, origin), api.get("/api/availability", Origin=origin)):
        assert not [name for name in answer.headers.keys() if name.startswith("Access-Control")]
        assert "Origin" in answer.headers["Vary"]


@on_sqlite
def test_pages_and_files_are_not_shared(make_api: Callable[..., Api]) -> None:
    api = make_api(allowed_origins=ORIGIN)
    for path in ("/", "/result/nobody", "/storage/video/nobody.mp4"):
        assert "Access-Control-Allow-Origin" not in api.get(path, Origin=ORIGIN).headers
