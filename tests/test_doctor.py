"""`flask --app wsgi doctor`: every mistake of an operator is named with its way out, and what is right is left in peace."""
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from redis import Redis

import petsong.web
from api_kit import Api, on_sqlite
from petsong import database, doctor, outbox
from petsong.doctor import BASE_ADDRESSES, Finding
from petsong.models import Heartbeat, OutboxMessage, Tick
from petsong.pools import mark
from petsong.settings import QUEUE_NAMES
from receivers import receiving
from render.features import features
from render.ffmpeg import find_ffmpeg
from scripts.sandbox.server import SandboxServer

pytest_plugins = "api_fixtures"
GOOD = {"path": "/usr/bin/ffmpeg", "version": "6.1", "missing": []}


@pytest.fixture(scope="module")
def service() -> Iterator[SandboxServer]:
    server = SandboxServer({"credits": 9000})
    yield server
    server.stop()


@pytest.fixture
def healthy(make_api: Callable[..., Api], service: SandboxServer) -> Iterator[Callable[..., Api]]:
    """healthy(**settings): an installation without a fault, but for these settings."""
    first = make_api()
    with first.serve():
        def make(**changes: Any) -> Api:
            api = make_api(**{
                "external_api_url": f"{service.url}/v1", "sonauto_api_key": service.key, "webhook_base_url": first.address,
                "alert_webhook_url": "https://chat.example.com/hook", **changes,
            })
            pool_tells(ffmpeg=GOOD, disk_percent=40)
            with database.connection():
                mark("scheduler")
            return api

        yield make


def pool_tells(name: str = "host-1-ab", **facts: Any) -> None:
    with database.connection():
        moment = database.now()
        Heartbeat.delete().where(Heartbeat.name == name).execute()
        Heartbeat.insert(
            name=name, at=moment, started_at=moment, queues=dict.fromkeys(QUEUE_NAMES, 1), facts=facts
        ).execute()


def run(api: Api, *words: str) -> Result:
    return api.app.test_cli_runner().invoke(args=["doctor", *words])


def findings(api: Api) -> list[Finding]:
    return [Finding(**finding) for finding in json.loads(run(api, "--json").stdout)["findings"]]


def the(api: Api, state: str) -> Finding:
    """The only finding of this state."""
    [found] = [finding for finding in findings(api) if finding.state == state]
    return found


# ---- the command

def test_a_healthy_installation_has_a_line_for_each_check(healthy: Callable[..., Api]) -> None:
    result = run(healthy())
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    checks = {line.split()[1] for line in lines}
    assert checks == {"database", "migrations", "clock", "redis", "service", "webhooks", "proxy", "workers", "scheduler",
                      "ffmpeg", "disk", "outbox"}


@on_sqlite
def test_a_problem_is_exit_code_1_and_a_warning_is_not(healthy: Callable[..., Api]) -> None:
    warned, broken = run(healthy(alert_webhook_url="")), run(healthy(sonauto_api_key="wrong"))
    assert (warned.exit_code, broken.exit_code) == (0, 1)
    assert "warning  alerts     nobody is told of trouble. Set ALERT_WEBHOOK_URL" in warned.stdout
    assert "problem  service" in broken.stdout


@on_sqlite
def test_in_json_it_is_one_line(healthy: Callable[..., Api]) -> None:
    for changes, expected in (({}, (True, "ok")), ({"sonauto_api_key": "wrong"}, (False, "problem"))):
        [line] = run(healthy(**changes), "--json").stdout.splitlines()
        told = json.loads(line)
        assert (told["success"], told["state"]) == expected
        assert set(told["findings"][0]) == {"check", "state", "text", "advice"}


@on_sqlite
def test_no_secret_is_printed(healthy: Callable[..., Api]) -> None:
    api = healthy(sonauto_api_key="sksonauto_secret1", alert_webhook_url="https://chat.example.com/secret2")
    assert "secret1" not in run(api).output and "secret2" not in run(api).output


# ---- the song service

@on_sqlite
@pytest.mark.parametrize(("key", "said"), [("sksonauto_wrong", "may be wrong"), ("", "is empty")])
def test_a_key_that_the_service_does_not_know(healthy: Callable[..., Api], key: str, said: str) -> None:
    found = the(healthy(sonauto_api_key=key), "problem")
    assert found.check == "service" and f"SONAUTO_API_KEY {said}" in found.advice
    assert all(f"{address}" in found.advice for address in BASE_ADDRESSES)


@on_sqlite
def test_a_wrong_address_of_the_service_names_the_others(healthy: Callable[..., Api]) -> None:
    api = healthy(external_api_url="http://127.0.0.1:1/v1")
    problems = [finding for finding in findings(api) if finding.state == "problem"]
    assert [found.check for found in problems] == ["service"]
    assert f"EXTERNAL_API_URL={' or '.join(BASE_ADDRESSES)}" in problems[0].advice


@on_sqlite
@pytest.mark.parametrize(("changes", "state", "advice"), [
    ({"min_available_credits": 10_000}, "warning", "Buy credits soon"),
    ({"song_price_credits": 10_000}, "problem", "Buy credits"),
])
def test_few_credits(healthy: Callable[..., Api], changes: dict[str, int], state: str, advice: str) -> None:
    found = the(healthy(**changes), state)
    assert found.check == "service" and "9000 credits" in found.text and advice in found.advice


# ---- our own address

@on_sqlite
def test_no_address_for_webhooks_is_a_warning(healthy: Callable[..., Api]) -> None:
    found = the(healthy(webhook_base_url=""), "warning")
    assert found.check == "webhooks" and "WEBHOOK_BASE_URL is empty" in found.text


@on_sqlite
def test_an_address_where_nobody_answers(healthy: Callable[..., Api]) -> None:
    found = the(healthy(webhook_base_url="http://127.0.0.1:1"), "problem")
    assert "nothing answers at http://127.0.0.1:1" in found.text and "/api/health/live" in found.advice


@on_sqlite
def test_an_address_where_somebody_else_answers(healthy: Callable[..., Api], service: SandboxServer) -> None:
    found = the(healthy(webhook_base_url=service.url), "problem")
    assert found.check == "webhooks" and "it answers HTTP 404" in found.text


@on_sqlite
def test_the_visitors_address_is_looked_at_as_well(healthy: Callable[..., Api]) -> None:
    found = the(healthy(public_base_url="http://127.0.0.1:1"), "problem")
    assert (found.check, "PUBLIC_BASE_URL" in found.text) == ("address", True)


@pytest.mark.parametrize("address", [
    "http://localhost:8000", "https://127.0.0.1", "https://10.0.0.5", "https://petsong.local", "https://web:8000",
    "https://[::1]:8000", "https://192.168.1.9",
])
def test_a_real_service_cannot_reach_an_address_of_this_network(address: str) -> None:
    found = doctor._reached("webhooks", "WEBHOOK_BASE_URL", address, at_home=False)
    assert found.state == "problem" and "the song service can't reach" in found.text


def test_a_real_service_is_not_spoken_to_without_tls() -> None:
    found = doctor._reached("webhooks", "WEBHOOK_BASE_URL", "http://songs.example.com", at_home=False)
    assert found.state == "problem" and "is not https" in found.text


@on_sqlite
def test_forwarding_headers_without_trust_are_remembered(
    healthy: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(petsong.web, "_warned", set())
    api = healthy()
    assert [found.state for found in findings(api) if found.check == "proxy"] == ["ok"]
    api.get("/", **{"X-Forwarded-For": "203.0.113.9"})
    found = the(api, "warning")
    assert found.check == "proxy" and "TRUSTED_PROXIES" in found.advice and "203.0.113.9" not in found.text
    assert [found.state for found in findings(healthy(trusted_proxies=1)) if found.check == "proxy"] == ["ok"]
    with database.connection():
        Tick.update(last_at=database.now() - timedelta(days=31)).execute()
        mark("scheduler")
    assert [found.state for found in findings(api) if found.check == "proxy"] == ["ok"]


@on_sqlite
def test_https_without_a_trusted_proxy_is_a_warning(healthy: Callable[..., Api]) -> None:
    found = [found for found in findings(healthy(public_base_url="https://songs.invalid")) if found.check == "proxy"]
    assert [(one.state, "https means a proxy" in one.text) for one in found] == [("warning", True)]


# ---- Redis

@pytest.fixture
def redis(empty_redis: str) -> Iterator[Redis]:
    client = Redis.from_url(empty_redis)
    yield client
    for name, value in (("appendonly", "yes"), ("maxmemory-policy", "noeviction"), ("maxmemory", "0")):
        client.config_set(name, value)
    client.close()


@on_sqlite
def test_redis_that_forgets(healthy: Callable[..., Api], redis: Redis) -> None:
    api = healthy()
    redis.config_set("appendonly", "no")
    assert the(api, "warning").advice == "In redis.conf: appendonly yes"


@on_sqlite
@pytest.mark.parametrize(("limit", "state"), [("0", "warning"), ("1gb", "problem")])
def test_redis_that_throws_messages_away(healthy: Callable[..., Api], redis: Redis, limit: str, state: str) -> None:
    api = healthy()
    redis.config_set("maxmemory-policy", "allkeys-lru")
    redis.config_set("maxmemory", limit)
    found = the(api, state)
    assert "allkeys-lru" in found.text and found.advice == "In redis.conf: maxmemory-policy noeviction"


@on_sqlite
def test_redis_away(healthy: Callable[..., Api]) -> None:
    found = the(healthy(redis_url="redis://127.0.0.1:9/0"), "problem")
    assert found.check == "redis" and "REDIS_URL" in found.advice


# ---- clocks

@pytest.mark.parametrize(("seconds", "state"), [(0.2, "ok"), (-4, "ok"), (20, "warning"), (-300, "problem")])
def test_clocks_that_disagree(seconds: float, state: str) -> None:
    found = doctor._drift("database", seconds)
    assert found.state == state and (state == "ok" or f"{abs(seconds):.1f} s" in found.text)


# ---- workers and places

def test_queues_without_workers_are_named(healthy: Callable[..., Api]) -> None:
    api = healthy()
    with database.connection():
        Heartbeat.update(queues={"dispatch": 1, "sonauto": 1, "downloads": 0}).execute()
    found = the(api, "problem")
    assert found.text == "no worker for downloads, renders, periodic"
    assert "python -m jobs.worker downloads renders periodic" in found.advice


@on_sqlite
def test_a_scheduler_that_is_silent_or_never_was(healthy: Callable[..., Api]) -> None:
    api = healthy()
    with database.connection():
        Tick.update(last_at=database.now() - timedelta(seconds=300)).execute()
    assert "300 s old" in the(api, "warning").text
    with database.connection():
        Tick.delete().execute()
    assert "never gave a sign" in the(api, "warning").text


def test_what_pools_tell_of_their_ffmpeg(healthy: Callable[..., Api]) -> None:
    api = healthy()
    pool_tells("other-2-cd", ffmpeg={**GOOD, "missing": ["libx264", "ebur128"]})
    found = the(api, "problem")
    assert found.text == "/usr/bin/ffmpeg of other-2-cd lacks libx264, ebur128" and "FFMPEG" in found.advice
    pool_tells("other-2-cd", ffmpeg=None)
    assert "has not told" in the(api, "warning").text


@on_sqlite
@pytest.mark.parametrize(("percent", "state"), [(85, "warning"), (96, "problem")])
def test_a_full_disk_of_a_pool(healthy: Callable[..., Api], percent: int, state: str) -> None:
    api = healthy()
    pool_tells(ffmpeg=GOOD, disk_percent=percent)
    found = the(api, state)
    assert found.text == f"{percent} % full (host-1-ab)"


@on_sqlite
def test_a_folder_that_is_a_file(healthy: Callable[..., Api], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: "closed" not in str(path))  # the tests' user may be root
    (tmp_path / "closed").mkdir()
    found = the(healthy(img_storage=tmp_path / "closed" / "uploads"), "problem")
    assert found.check == "storage" and "IMG_STORAGE" in found.advice


# ---- what leaves us

@on_sqlite
def test_messages_given_up_and_long_waiting(healthy: Callable[..., Api]) -> None:
    api = healthy()
    with database.connection():
        outbox.alert("fire", "It is on fire.", dedupe="fire")
        OutboxMessage.update(created_at=database.now() - timedelta(hours=2)).execute()
    assert "1 alert messages wait" in the(api, "warning").text
    with database.connection():
        OutboxMessage.update(state="given_up", next_try_at=None).execute()
    assert "were given up" in the(api, "warning").text


# ---- ffmpeg's features

def test_this_machines_ffmpeg_has_all_that_videos_need() -> None:
    found = features(find_ffmpeg())
    assert found.missing == () and found.version


def test_what_an_ffmpeg_lacks_is_named(tmp_path: Path) -> None:
    """A stand-in that passes everything on, and refuses what names loudnorm or libx264."""
    fake = tmp_path / "ffmpeg"
    fake.write_text(f'#!/bin/sh\ncase "$*" in *loudnorm*|*libx264*) exit 1;; esac\nexec {shutil.which("ffmpeg")} "$@"\n')
    fake.chmod(0o755)
    assert features(str(fake)).missing == ("loudnorm", "libx264")


def test_an_ffmpeg_that_cannot_be_run_lacks_everything() -> None:
    found = features("/bin/false")
    assert {"aac", "libx264", "ebur128"} <= set(found.missing) and found.version == ""


@on_sqlite
def test_another_site_at_the_address(healthy: Callable[..., Api]) -> None:
    with receiving() as other:
        found = the(healthy(webhook_base_url=other.origin), "problem")
    assert "answers HTTP 501" in found.text
