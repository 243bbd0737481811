"""GET /api/health for machines, and /api/health/live, which needs nothing at all."""
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from api_kit import Api, check_error
from petsong import database
from petsong.models import Heartbeat, Tick
from petsong.settings import QUEUE_NAMES

pytest_plugins = "api_fixtures"

NOBODY = "postgresql://nobody:wrong@127.0.0.1:9/gone"


def health(api: Api, status: int) -> dict[str, Any]:
    answer = api.get("/api/health")
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.get_json()
    assert set(body) == {"status", "timestamp", "redis", "database", "workers", "queues", "scheduler", "disk"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])
    assert set(body["queues"]) == set(QUEUE_NAMES)
    assert body["status"] == ("healthy" if status == 200 else "unhealthy")
    return body


def test_with_a_worker_on_every_queue_it_is_healthy(api: Api) -> None:
    api.workers(dispatch=1, sonauto=2, downloads=2, renders=3, periodic=1)
    with database.connection():
        Tick.insert(name="scheduler", last_at=database.now() - timedelta(seconds=7)).execute()
    api.post()
    body = health(api, 200)
    assert (body["redis"], body["database"], body["workers"]) == ("connected", "connected", 9)
    assert body["queues"]["renders"] == {"depth": 0, "workers": 3}
    assert body["queues"]["dispatch"] == {"depth": 1, "workers": 1}
    assert 7 <= body["scheduler"]["last_tick_seconds"] < 60
    assert 0 < body["disk"]["used_percent"] <= 100


@pytest.mark.parametrize("idle", QUEUE_NAMES)
def test_a_queue_without_a_worker_is_unhealthy(api: Api, idle: str) -> None:
    api.workers(**{name: 1 for name in QUEUE_NAMES if name != idle})
    body = health(api, 503)
    assert (body["redis"], body["database"], body["workers"]) == ("connected", "connected", 4)
    assert [name for name, queue in body["queues"].items() if not queue["workers"]] == [idle]


def test_pools_add_up_and_silent_ones_do_not_count(api: Api) -> None:
    api.workers()
    with database.connection():
        moment = database.now()
        Heartbeat.insert(name="second", at=moment, started_at=moment, queues={"renders": 2}).execute()
        long_ago = moment - timedelta(seconds=300)
        Heartbeat.insert(name="dead", at=long_ago, started_at=long_ago, queues={"renders": 5}).execute()
    assert health(api, 200)["queues"]["renders"]["workers"] == 3
    with database.connection():
        Heartbeat.update(at=long_ago).execute()
    assert health(api, 503)["workers"] == 0


def test_a_scheduler_that_never_ticked_is_unknown(api: Api) -> None:
    api.workers()
    assert health(api, 200)["scheduler"] == {"last_tick_seconds": None}


def test_without_redis_it_is_unhealthy(make_api: Callable[..., Api]) -> None:
    api = make_api(redis_url="redis://127.0.0.1:9/0")
    api.workers()
    body = health(api, 503)
    assert (body["redis"], body["database"]) == ("disconnected", "connected")
    assert {queue["depth"] for queue in body["queues"].values()} == {None}


def test_without_a_database_it_is_unhealthy_and_live_is_alive(api: Api) -> None:
    database.connect_to(NOBODY, pooled=True)
    body = health(api, 503)
    assert (body["redis"], body["database"], body["workers"]) == ("connected", "disconnected", 0)
    answer = api.get("/api/health/live")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "alive"})


def test_live_opens_no_connection(make_api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch) -> None:
    api = make_api(redis_url="redis://127.0.0.1:9/0")
    database.connect_to(NOBODY, pooled=True)

    def never(*_: Any) -> None:
        raise AssertionError("live touched something")

    monkeypatch.setattr(database, "open_connection", never)
    monkeypatch.setattr(type(api.parts.queues), "depths", never)
    assert api.get("/api/health/live").status_code == 200


def test_a_missing_storage_folder_is_no_error(api: Api) -> None:
    api.workers()
    api.settings.video_storage.rmdir()
    assert health(api, 200)["disk"] == {"used_percent": None}


@pytest.mark.parametrize("path", ["/api/health", "/api/health/live"])
def test_only_reading_is_allowed(api: Api, path: str) -> None:
    check_error(api.client.post(path), 405, "method_not_allowed")
