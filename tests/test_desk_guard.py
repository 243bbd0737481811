"""The desk's login, and that no other site can make an operator's browser change something."""
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from werkzeug.routing import Rule

from api_kit import Api, check_error, on_sqlite
from desk_kit import LOGIN, TOKEN, Desk

pytest_plugins = "desk_login_fixtures"
FORM = "/admin/submissions/song1/cancel"


def rules(api: Api) -> Iterator[Rule]:
    """Every address of the desk."""
    for rule in api.app.url_map.iter_rules():
        if rule.rule.startswith(("/admin", "/api/admin")):
            yield rule


def address(rule: Rule) -> str:
    filled = rule.rule
    for name in rule.arguments:
        filled = "/".join("x" if part.startswith("<") and part.endswith(f"{name}>") else part for part in filled.split("/"))
    return filled.replace("<any(cancel,delete):action>", "cancel")


@on_sqlite
def test_every_address_of_the_desk_needs_the_password(desk: Desk, make_api: Callable[..., Api]) -> None:
    closed, found = make_api(), list(rules(desk.api))
    assert len(found) > 10
    for rule in found:
        path = address(rule)
        for method in (rule.methods or set()) & {"GET", "POST", "PUT", "DELETE"}:
            answer = desk.api.client.open(path, method=method)
            assert answer.status_code in (401, 404, 429), (method, path, answer.status_code)
            assert closed.client.open(path, method=method, headers=LOGIN).status_code == 404, (method, path)
        desk.api.parts.limiter.reset()


@on_sqlite
def test_pages_ask_for_the_password_in_html(desk: Desk) -> None:
    answer = desk.api.get("/admin/submissions")
    assert answer.status_code == 401 and answer.mimetype == "text/html"
    assert answer.headers["WWW-Authenticate"].startswith("Basic ") and "Please log in" in answer.text
    assert "Submissions" not in answer.text  # no links to what is behind


@on_sqlite
def test_five_wrong_passwords_a_minute_on_pages_and_api_together(desk: Desk) -> None:
    for number in range(5):
        path = "/admin/submissions" if number % 2 else "/api/admin/submissions"
        assert desk.api.get(path, Authorization="Basic bm86bm8=").status_code == 401
    page = desk.get("/admin/submissions")
    assert page.status_code == 429 and page.mimetype == "text/html" and int(page.headers["Retry-After"]) <= 61
    check_error(desk.get("/api/admin/submissions"), 429, "too_many_requests")


@on_sqlite
def test_answers_stay_private(desk: Desk) -> None:
    for path in ("/admin/submissions", "/api/admin/submissions", "/admin/submissions.csv"):
        headers = desk.get(path).headers
        assert headers["Cache-Control"] == "no-store" and "noindex" in headers["X-Robots-Tag"]
        assert headers["Referrer-Policy"] == "same-origin" and headers["X-Frame-Options"] == "DENY"


# ---- forms of others

@pytest.fixture
def queued(desk: Desk) -> Desk:
    desk.row("song1", "queued")
    return desk


def stage(desk: Desk) -> str:
    return str(desk.api.row("song1").stage)


FOREIGN = [
    {"Origin": "https://evil.example"}, {"Origin": "http://localhost.evil.example"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost:8000"},
]


@on_sqlite
def test_a_form_of_another_site_changes_nothing_even_with_a_token(queued: Desk) -> None:
    token = TOKEN.search(queued.get(FORM).text)
    assert token
    for headers in FOREIGN:
        answer = queued.api.client.post(FORM, data={"token": token[1]}, headers={**LOGIN, **headers})
        assert answer.status_code == 403 and "another site" in answer.text
        check_error(queued.post("/api/admin/submissions/song1/cancel", **headers), 403, "forbidden")
    assert stage(queued) == "queued"


@on_sqlite
def test_a_form_without_its_token_changes_nothing(queued: Desk) -> None:
    for token in ("", "0" * 64, "é", "x"):
        assert queued.submit(FORM, FORM, token=token).status_code == 403
    assert stage(queued) == "queued"


@on_sqlite
def test_a_token_lasts_over_midnight_and_not_much_longer(queued: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    for days, allowed in ((-2, False), (1, False), (-1, True)):
        monkeypatch.setattr("petsong.web.desk.guard._today", lambda days=days: now + timedelta(days=days))
        token = TOKEN.search(queued.get(FORM).text)
        monkeypatch.setattr("petsong.web.desk.guard._today", lambda: now)
        assert token
        assert queued.submit(FORM, FORM, token=token[1]).status_code == (303 if allowed else 403)


@on_sqlite
def test_the_api_takes_json_alone(queued: Desk) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""):
        headers = {**LOGIN, "Content-Type": kind}
        answer = queued.api.client.post("/api/admin/submissions/song1/cancel", data=b"", headers=headers)
        check_error(answer, 415, "unsupported_media_type")
    assert stage(queued) == "queued"


@on_sqlite
def test_our_own_form_works(queued: Desk) -> None:
    answer = queued.submit(FORM, FORM)
    assert (answer.status_code, answer.location) == (303, "/admin/submissions/song1?did=cancel")
    assert stage(queued) == "failed"
