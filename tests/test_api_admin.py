"""GET /api/admin/queue-status: for operators with the password, and as if it were not there while none is set."""
import base64
from collections.abc import Callable
from typing import Any

import pytest
import redis
from rq.registry import StartedJobRegistry

from api_kit import Api, check_error, on_sqlite

pytest_plugins = "api_fixtures"

PATH = "/api/admin/queue-status"


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api(admin_password=RIGHT, admin_username="boss")


RIGHT = "open sesame ä"


def ask(api: Api, name: str = "boss", password: str = RIGHT, address: str = "198.51.100.7") -> Any:
    given = base64.b64encode(f"{name}:{password}".encode()).decode()
    return api.get(PATH, address=address, Authorization=f"Basic {given}")


@pytest.mark.parametrize("path", [PATH, "/api/admin/nothing", "/api/admin/"])
def test_without_a_password_there_is_nothing(make_api: Callable[..., Api], path: str) -> None:
    api = make_api()
    for headers in ({}, {"Authorization": "Basic " + base64.b64encode(b"admin:").decode()}):
        answer = api.get(path, **headers)
        check_error(answer, 404, "not_found")
        assert "WWW-Authenticate" not in answer.headers


@on_sqlite
@pytest.mark.parametrize("header", [
    None, "", "Basic", "Basic ", "Basic !!!", "Basic " + base64.b64encode(b"boss").decode(), "Bearer open sesame",
    "Basic " + base64.b64encode(b"boss:open sesame a").decode(), "Basic " + base64.b64encode(b"\xff:\xfe").decode(),
    "Basic " + base64.b64encode("Boss:open sesame ä".encode()).decode(), "Basic " + base64.b64encode(b"boss:").decode(),
    "Digest username=boss",
])
def test_without_the_right_password_it_is_401(api: Api, header: str | None) -> None:
    answer = api.get(PATH, **({"Authorization": header} if header is not None else {}))
    check_error(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert "boss" not in answer.text


def test_the_right_password_opens(api: Api) -> None:
    body = ask(api).get_json()
    assert body == {
        "pending_submissions": 0, "processing_submissions": 0, "active_jobs": 0, "sonauto_credits": None,
        "last_credits_check": None,
    }


def test_it_counts_songs_jobs_and_credits(api: Api) -> None:
    for number, (stage, word) in enumerate([
        ("queued", "pending"), ("queued", "pending"), ("sending", "processing"), ("generating", "processing"),
        ("downloading", "processing"), ("rendering", "processing"), ("done", "success"), ("failed", "fail"),
    ]):
        api.song(f"song{number}", stage=stage, entry_status=word)
    api.credits(4200)
    client = redis.Redis.from_url(api.settings.redis_url)
    client.zadd(StartedJobRegistry("periodic", connection=client).key, {"sweep-all-1:execution": 4e9})
    client.close()
    body = ask(api).get_json()
    checked = body.pop("last_credits_check")
    assert checked.endswith("Z") and len(checked) == 20
    assert body == {"pending_submissions": 2, "processing_submissions": 4, "active_jobs": 1, "sonauto_credits": 4200}


def test_a_failed_reading_does_not_hide_the_last_known(api: Api) -> None:
    api.credits(300)
    api.credits(None)
    assert ask(api).get_json()["sonauto_credits"] == 300


def test_without_redis_it_still_answers(make_api: Callable[..., Api]) -> None:
    api = make_api(admin_password="x" * 20, redis_url="redis://127.0.0.1:9/0")
    assert ask(api, "admin", "x" * 20).get_json()["active_jobs"] == 0


def test_after_five_wrong_tries_a_minute_not_even_the_right_one_is_answered(api: Api) -> None:
    for number in range(5):
        check_error(ask(api, password=f"guess {number}"), 401, "unauthorized")
    for password in ("guess 6", "open sesame ä"):
        answer = ask(api, password=password)
        check_error(answer, 429, "too_many_requests")
        assert 0 < int(answer.headers["Retry-After"]) <= 61
    assert ask(api, address="198.51.100.8").status_code == 200


def test_right_tries_are_not_counted(api: Api) -> None:
    for _ in range(4):
        assert ask(api, password="wrong").status_code == 401
        assert [ask(api).status_code for _ in range(4)] == [200] * 4
