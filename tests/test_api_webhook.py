"""POST /api/webhook: the song service's calls. A hint is noted, the row becomes due, and nothing else happens."""
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import requests
from rq.job import Job
from rq.serializers import JSONSerializer

from api_kit import Api, Gunicorn, check_error, queue_length
from petsong import database
from petsong.lifecycle.sending import webhook_token
from petsong.models import Attempt, Event, WebhookReceipt

pytest_plugins = "api_fixtures"

PROCESSED = {"success": True, "message": "Webhook processed"}
UNKNOWN = "Unknown task_id"


@pytest.fixture
def waiting(api: Api) -> Api:
    """A song at the service, due much later, and no message about it."""
    api.song("song1", stage="generating", entry_status="processing", llm_task_id="task-song1", next_check_at=None)
    api.attempt("song1", token=webhook_token(api.settings, "song1", 1))
    return api


def token(api: Api) -> str:
    return webhook_token(api.settings, "song1", 1)


def call(api: Api, token: str = "", data: Any = b"") -> Any:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return api.client.post(f"/api/webhook/{token}" if token else "/api/webhook", data=body)


def receipts() -> list[Any]:
    with database.connection():
        return list(WebhookReceipt.select())


def messages(api: Api) -> list[tuple[str, list[str]]]:
    client = redis.Redis.from_url(api.settings.redis_url)
    try:
        ids = [raw.decode() for raw in client.lrange("rq:queue:sonauto", 0, -1)]
        jobs = [Job.fetch(job_id, connection=client, serializer=JSONSerializer) for job_id in ids]
        return [(job.func_name, list(job.args)) for job in jobs]
    finally:
        client.close()


def check_noted(api: Api, answer: Any, body: bytes) -> None:
    assert (answer.status_code, answer.get_json()) == (200, PROCESSED)
    row = api.row("song1")
    assert row.next_check_at is not None
    assert (row.stage, row.entry_status, row.claim_no) == ("generating", "processing", 0)
    assert [(receipt.outcome, receipt.body_hash) for receipt in receipts()] == [("hint", hashlib.sha256(body).hexdigest())]
    assert messages(api) == [("jobs.collect.fetch_generation_details", ["song1"])]
    with database.connection():
        assert Event.select().count() == 0


# ---- with and without a token

def test_a_token_decides_whose_song_it_is(waiting: Api) -> None:
    body = json.dumps({"task_id": "another", "status": "SUCCESS", "song_paths": ["https://evil.example/x.mp3"]}).encode()
    check_noted(waiting, call(waiting, token(waiting), body), body)


def test_a_known_task_is_enough_without_a_token(waiting: Api) -> None:
    body = json.dumps({"task_id": "task-song1", "status": "SUCCESS"}).encode()
    check_noted(waiting, call(waiting, data=body), body)


def test_a_failure_is_no_more_than_a_hint(waiting: Api) -> None:
    body = json.dumps({"task_id": "task-song1", "status": "FAILURE", "error_message": "forged"}).encode()
    check_noted(waiting, call(waiting, data=body), body)
    assert waiting.row("song1").fail_reason is None


@pytest.mark.parametrize("data", [
    {"task_id": "unknown", "status": "SUCCESS"}, {}, b"", b"not json", [], {"task_id": None}, {"task_id": 5},
    {"task_id": "x" * 1000},
    {"task_id": "\x00"}, {"task_id": "' OR 1=1 --"}, {"task_id": {"task_id": "deep"}}, b"[" * 60_000, "task", 7, b"\xff\x00",
])
def test_an_unknown_task_is_404_and_not_stored(waiting: Api, data: Any) -> None:
    body = check_error(call(waiting, data=data), 404, "unknown_task")
    assert body["error"] == UNKNOWN
    assert receipts() == [] and messages(waiting) == []
    assert waiting.row("song1").next_check_at is None


@pytest.mark.parametrize("forged", ["0" * 64, "x", "task-song1", "song1", "%00", "a%00b", "🐶", "x" * 3000, "%ff",
    "'%20OR%201=1"])
def test_a_forged_token_is_404_whatever_its_body(waiting: Api, forged: str) -> None:
    body = check_error(call(waiting, forged, {"task_id": "task-song1"}), 404, "unknown_task")
    assert body["error"] == UNKNOWN
    assert receipts() == [] and messages(waiting) == []


def test_the_token_of_one_song_says_nothing_of_another(waiting: Api) -> None:
    waiting.song("song2", stage="generating", entry_status="processing")
    waiting.attempt("song2", token=webhook_token(waiting.settings, "song2", 1))
    assert call(waiting, webhook_token(waiting.settings, "song2", 1), {"task_id": "task-song1"}).status_code == 200
    assert waiting.row("song1").next_check_at is None
    assert waiting.row("song2").next_check_at is not None


def test_in_the_unknown_state_a_tokens_task_is_kept_as_a_hint(api: Api) -> None:
    api.song("song1", stage="sending", entry_status="processing")
    api.attempt("song1", token=webhook_token(api.settings, "song1", 1), task_id=None, outcome="unknown")
    call(api, token(api), {"task_id": "task-7", "status": "GENERATING"})
    with database.connection():
        attempt = Attempt.get()
    assert (attempt.task_hint, attempt.task_id, api.row("song1").stage) == ("task-7", None, "sending")


# ---- any shape, any number

@pytest.mark.parametrize("data", [
    b"", b"{", b"null", b"true", b"3", b'"SUCCESS"', b"[]", [1, [2, {"a": None}]], {"task_id": 5},
    {"task_id": None, "status": 7},
    {"status": ["SUCCESS"]}, {"data": {"task_id": "x"}}, {"task_id": "task-song1", "task_id ": 1}, b'{"task_id":1,"task_id":2}',
    b"\xff\xfe\x00", b"[" * 60_000, b'{"a":' * 10_000, {"song_paths": "x" * 10_000}, b'{"x": NaN}', {"task_id": "\ud800"},
    b"--boundary\r\nContent-Disposition: form-data", b"a=b&c=d", b"9" * 60_000,
])
def test_with_a_token_any_shape_is_a_hint(waiting: Api, data: Any) -> None:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    check_noted(waiting, call(waiting, token(waiting), body), body)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x", ""])
def test_the_content_type_does_not_matter(waiting: Api, content_type: str) -> None:
    answer = waiting.client.post("/api/webhook", data=b'{"task_id": "task-song1"}', content_type=content_type)
    assert answer.status_code == 200


def test_a_body_over_64_kilobytes_is_ignored(waiting: Api) -> None:
    padded = {"task_id": "task-song1", "pad": "x" * 64 * 1024}
    check_error(call(waiting, data=padded), 404, "unknown_task")
    assert receipts() == []
    check_noted(waiting, call(waiting, token(waiting), padded), b"")
    fitting = json.dumps({"task_id": "task-song1", "pad": ""}).encode()
    whole = fitting.replace(b'"pad": ""', b'"pad": "' + b"x" * (64 * 1024 - len(fitting)) + b'"')
    assert len(whole) == 64 * 1024 and call(waiting, data=whole).status_code == 200


def test_repeats_do_no_harm_and_fill_nothing(waiting: Api) -> None:
    for number in range(120):
        data = {"task_id": "task-song1", "status": ["SUCCESS", "FAILURE", "GENERATING"][number % 3], "n": number}
        assert call(waiting, token(waiting) if number % 2 else "", data).get_json() == PROCESSED
    assert len(receipts()) == 50
    assert queue_length(waiting.settings.redis_url, "sonauto") == 1
    assert waiting.row("song1").stage == "generating"


def test_a_hint_gets_its_message_although_other_songs_wait(waiting: Api) -> None:
    for number in range(2, 60):
        name = f"song{number}"
        waiting.song(name, stage="generating", entry_status="processing")
        waiting.attempt(name)
        call(waiting, data={"task_id": f"task-{name}"})
    call(waiting, data={"task_id": "task-song1"})
    assert messages(waiting)[0] == ("jobs.collect.fetch_generation_details", ["song1"])
    assert len(messages(waiting)) == 59


@pytest.mark.parametrize(("stage", "word"), [("done", "success"), ("failed", "fail"), ("rendering", "processing")])
def test_a_late_call_moves_nothing(api: Api, stage: str, word: str) -> None:
    api.song("song1", stage=stage, entry_status=word)
    with database.connection():
        moment = database.now()
    api.attempt("song1", ended_at=moment, ended_as="success", token=webhook_token(api.settings, "song1", 1))
    assert call(api, token(api), {"task_id": "task-song1", "status": "FAILURE"}).get_json() == PROCESSED
    row = api.row("song1")
    assert (row.stage, row.entry_status, row.next_check_at) == (stage, word, None)
    assert [receipt.outcome for receipt in receipts()] == ["late"]


def test_only_post_is_taken(waiting: Api) -> None:
    for path in ("/api/webhook", f"/api/webhook/{token(waiting)}"):
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            check_error(waiting.client.open(path, method=method), 405, "method_not_allowed")
    assert receipts() == []


# ---- over real HTTP

def pieces(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 8192):
        yield data[at:at + 8192]


def test_real_calls_move_the_row_and_the_log_masks_their_tokens(
    make_api: Callable[..., Api], start_gunicorn: Callable[..., Gunicorn]
) -> None:
    gunicorn = start_gunicorn(log_level="INFO")
    api = make_api()
    api.song("song1", stage="generating", entry_status="processing", next_check_at=None)
    secret = webhook_token(api.settings, "song1", 1)
    api.attempt("song1", token=secret)
    address = f"{gunicorn.address}/api/webhook"
    chunked = requests.post(f"{address}/{secret}", data=pieces(b'{"task_id": "task-song1"}' + b" " * 60_000), timeout=10)
    assert (chunked.status_code, chunked.json()) == (200, PROCESSED)
    assert api.row("song1").next_check_at is not None
    assert messages(api) == [("jobs.collect.fetch_generation_details", ["song1"])]
    for data in (pieces(b'{"task_id": "task-song1"}' + b" " * 1_000_000), b'{"task_id": "task-song1"}' + b" " * 5_000_000):
        assert requests.post(address, data=data, timeout=10).status_code == 404
    for path in (f"/{secret}/more", f"//{secret}", f"/{secret}?a={secret}", f"/{secret}%0Aline"):
        requests.post(address + path, data=b"{}", timeout=10)
    log = gunicorn.log.read_text()
    assert "/api/webhook/" in log and secret not in log
    assert "Traceback" not in log
