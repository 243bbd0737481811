"""Redis down, frozen or full: forms are accepted all the same, soon, and limits still hold. Each test has its own Redis."""
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
from werkzeug.test import TestResponse

from api_kit import Api, check_error, queue_length
from petsong import limits, queues
from scripts.servers import RedisServer

pytest_plugins = "api_fixtures"

MOST_SECONDS = 2.0  # contract, not a benchmark


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as started:
        yield started


@contextmanager
def down(server: RedisServer) -> Iterator[None]:
    server.stop(signal.SIGKILL)
    yield
    server.start()


@contextmanager
def frozen(server: RedisServer) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@contextmanager
def full(server: RedisServer) -> Iterator[None]:
    client = redis.Redis.from_url(server.url)
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")
    yield
    client.config_set("maxmemory", "0")
    client.close()


TROUBLES = pytest.mark.parametrize("trouble", [down, frozen, full])


def timed(post: Callable[[], TestResponse]) -> TestResponse:
    began = time.monotonic()
    answer = post()
    assert time.monotonic() - began < MOST_SECONDS
    return answer


@TROUBLES
def test_forms_are_accepted_within_two_seconds(
    make_api: Callable[..., Api], server: RedisServer, trouble: Callable[..., Iterator[None]]
) -> None:
    api = make_api(redis_url=server.url)
    assert api.post().status_code == 200
    with trouble(server):
        for _ in range(4):
            assert timed(api.post).status_code == 200
        check_error(timed(lambda: api.post(pet_name="1")), 400, "validation_failed")
        assert [row.stage for row in api.rows()] == ["queued"] * 5
        assert timed(lambda: api.get(f"/api/results/{api.rows()[0].session_id}")).status_code == 409


@TROUBLES
def test_a_process_that_starts_meanwhile_accepts_as_well(
    make_api: Callable[..., Api], server: RedisServer, trouble: Callable[..., Iterator[None]]
) -> None:
    with trouble(server):
        api = make_api(redis_url=server.url)
        assert timed(api.post).status_code == 200
        assert timed(lambda: api.get("/")).status_code == 200


@TROUBLES
def test_limits_hold_in_memory(
    make_api: Callable[..., Api], server: RedisServer, trouble: Callable[..., Iterator[None]]
) -> None:
    api = make_api(redis_url=server.url, submissions_per_hour_per_ip=2, results_per_hour_per_ip=2)
    api.song("song1")
    with trouble(server):
        assert [timed(api.post).status_code for _ in range(3)] == [200, 200, 429]
        assert [api.get("/api/results/song1").status_code for _ in range(3)] == [200, 200, 429]
        assert api.post(address="198.51.100.8").status_code == 200
        assert [api.post(pet_name="1", address="198.51.100.9").status_code for _ in range(21)] == [400] * 20 + [429]


@TROUBLES
def test_all_is_as_before_when_redis_is_back(
    make_api: Callable[..., Api], server: RedisServer, trouble: Callable[..., Iterator[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (queues, limits):
        monkeypatch.setattr(module, "SKIP_SECONDS", 0.2)
    api = make_api(redis_url=server.url, submissions_per_hour_per_ip=3)
    assert api.post().status_code == 200
    with trouble(server):
        assert api.post().status_code == 200
    time.sleep(0.3)
    assert api.post().status_code == 200
    assert queue_length(server.url, "dispatch") == 1
    fresh = make_api(redis_url=server.url, submissions_per_hour_per_ip=3)  # knows only what Redis kept
    assert [fresh.post().status_code for _ in range(2)] == [200, 429]


def test_after_a_failure_redis_is_left_alone_for_five_seconds(
    make_api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = make_api(redis_url="redis://127.0.0.1:9/0")
    api.post()
    asked: list[str] = []

    def refuse(what: str) -> Callable[..., None]:
        def asking(*_: object, **__: object) -> None:
            asked.append(what)
            raise redis.ConnectionError(what)

        return asking

    monkeypatch.setattr(type(api.parts.queues), "queue", refuse("queue"))
    monkeypatch.setattr(limits.RedisStorage, "acquire_entry", refuse("limits"))
    monkeypatch.setattr(limits.RedisStorage, "get_moving_window", refuse("limits"))
    real = time.monotonic
    for later, expected in ((0.0, []), (4.0, []), (6.0, ["limits", "queue"]), (7.0, ["limits", "queue"])):
        monkeypatch.setattr(time, "monotonic", lambda offset=later: real() + offset)
        assert api.post().status_code == 200
        assert asked == expected


@TROUBLES
def test_webhook_and_health_answer_meanwhile(
    make_api: Callable[..., Api], server: RedisServer, trouble: Callable[..., Iterator[None]]
) -> None:
    api = make_api(redis_url=server.url)
    api.song("song1", stage="generating", entry_status="processing")
    api.attempt("song1")
    with trouble(server):
        assert timed(lambda: api.client.post("/api/webhook", json={"task_id": "task-song1"})).status_code == 200
        health = timed(lambda: api.get("/api/health"))
        word = "connected" if trouble is full else "disconnected"  # a full Redis answers; its queues can still be emptied
        assert (health.status_code, health.get_json()["redis"]) == (503, word)
    assert api.row("song1").next_check_at is not None


def test_after_a_restart_of_redis_the_next_message_goes_through(make_api: Callable[..., Api], server: RedisServer) -> None:
    api = make_api(redis_url=server.url)
    api.post()
    redis.Redis.from_url(server.url).flushall()
    server.stop()
    server.start()
    api.post()
    assert queue_length(server.url, "dispatch") == 1


def test_a_burst_leaves_one_message_for_the_dispatcher(api: Api) -> None:
    for _ in range(5):
        api.post()
    assert queue_length(api.settings.redis_url, "dispatch") == 1
