"""What the log says of a request, and what it never says: names, photos, tokens, keys, full addresses, bodies."""
import gzip
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import sentry_sdk

import petsong.web
from api_kit import PHOTO, Api, Gunicorn, form, on_sqlite
from kit import SECRET
from petsong import database, logs

pytest_plugins = "api_fixtures"

ADDRESS = "198.51.100.7"
SIX = "2001:db8:1:2:3:4:5:6"
SECRETS = {
    "names": "Quixotina", "other name": "Zebediah", "said": "kee-sho", "photo": PHOTO[200:260], "cookie": "cookie_verysecret",
    "key": "key-4f2d9c", "token": "feedface" * 8, "secret": SECRET, "password": "open-sesame", "address": ADDRESS,
    "address 6": SIX,
    "task": "whisper-me",
}

NAMES: dict[str, Any] = {"pet_name": "Quixotina", "owner_name": "Zebediah", "pet_name_said": "kee-sho"}
GOOD: dict[str, Any] = {**NAMES, "cookie_id": "cookie_verysecret"}
WEBHOOK = "/api/webhook/" + "feedface" * 8


class Log:
    """What went to stderr since the test began, or since `forget()`."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured, self._text = captured, ""

    def text(self) -> str:
        self._text += self._captured.readouterr().err
        return self._text

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]

    def forget(self) -> None:
        self._captured.readouterr()
        self._text = ""


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str], root_logger: logging.Logger) -> Log:
    return Log(capsys)


def full_cycle(api: Api) -> None:
    """Everything a visitor, the service and an operator may send, right and wrong."""
    session_id = api.post(key=SECRETS["key"], **GOOD).get_json()["session_id"]
    api.post(key=SECRETS["key"], **{**GOOD, "music_vibe": "Party"})
    api.post(**{**GOOD, "photo": PHOTO[:-40]})
    api.post(**{**GOOD, "pet_name": "Quixotina 1"})
    api.post_raw(json.dumps(form(**GOOD)).encode()[:-1])
    for _ in range(3):
        api.post(**GOOD)
        api.post(address=SIX, **NAMES)
    api.attempt(session_id, token="feedface" * 8)
    for path in ("/api/webhook", WEBHOOK, WEBHOOK.replace("k/", "k//"), WEBHOOK + WEBHOOK):
        api.client.post(path, json={"task_id": "whisper-me", "status": "SUCCESS"}, environ_base={"REMOTE_ADDR": ADDRESS})
    for path in (f"/api/submissions/{session_id}/status", f"/api/results/{session_id}", f"/result/{session_id}", "/",
        "/nothing",
                 f"/waiting/{session_id}", "/?name=Quixotina", "/api/availability?key=open-sesame", "/api/health"):
        for address in (ADDRESS, SIX):
            api.get(path, address=address, Cookie="c=cookie_verysecret", **{"X-Forwarded-For": ADDRESS})
    for _ in range(7):
        api.client.get("/api/admin/queue-status", auth=("admin", "open-sesame!"), environ_base={"REMOTE_ADDR": ADDRESS})


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize("redis", ["here", "away"])
def test_no_line_of_a_whole_cycle_holds_anything_private(
    make_api: Callable[..., Api], log: Log, level: str, redis: str
) -> None:
    changes = {} if redis == "here" else {"redis_url": "redis://127.0.0.1:9/0"}
    api = make_api(
        log_level=level, secret_key=SECRET, admin_password="open-sesame", submissions_per_hour_per_ip=3, form_submit_retry=2,
        results_per_hour_per_ip=1, **changes,
    )
    full_cycle(api)
    text = log.text()
    assert [what for what, secret in SECRETS.items() if secret in text] == []
    paths = [line["path"] for line in log.lines() if line["message"] == "request"]
    assert len(paths) > 30 and all(path.startswith("/") for path in paths)


def test_a_request_is_one_line(make_api: Callable[..., Api], log: Log) -> None:
    api = make_api(log_level="INFO")
    api.get("/api/nothing?x=1")
    line = log.lines()[-1]
    line.pop("timestamp"), line.pop("ms"), line.pop("request_id")
    assert line == {
        "levelname": "INFO", "name": "petsong.access", "message": "request", "method": "GET", "path": "/api/nothing",
        "status": 404,
    }


def test_signs_of_life_and_static_files_are_not_logged(make_api: Callable[..., Api], log: Log) -> None:
    api = make_api(log_level="INFO")
    api.get("/api/health/live")
    with api.get("/static/css/base.css"):
        pass
    assert "petsong.access" not in log.text()


@on_sqlite
@pytest.mark.parametrize("style", ["json", "text"])
def test_an_address_with_line_breaks_is_one_line(make_api: Callable[..., Api], log: Log, style: str) -> None:
    api = make_api(log_level="INFO", log_format=style)
    log.forget()
    for odd in ("%0a", "%0d%0a", "%1b[2J", "%e2%80%a8", "%c2%85", "%00"):
        api.get(f"/nothing{odd}2026-11-21 INFO petsong forged line")
    written = log.text()
    assert len(written.splitlines()) == 6 and "\x1b" not in written and "\x00" not in written


def test_the_text_format_shows_what_json_does(make_api: Callable[..., Api], log: Log) -> None:
    make_api(log_level="INFO", log_format="text").get("/nothing/Zoë")
    assert "INFO    petsong.access request method=GET path=/nothing/Zoë status=404 ms=" in log.text().splitlines()[-1]


def test_bound_fields_are_on_every_line_within(log: Log) -> None:
    logs.configure("INFO", "json")
    with logs.bind(session_id="song1", job="render"):
        with logs.bind(attempt=2):
            logging.getLogger("petsong.x").info("inner", extra={"job": "own"})
        logging.getLogger("petsong.x").warning("outer")
    logging.getLogger("petsong.x").info("after")
    inner, outer, after = log.lines()
    assert (inner["session_id"], inner["attempt"], inner["job"]) == ("song1", 2, "own")
    assert (outer["session_id"], outer["job"], "attempt" in outer) == ("song1", "render", False)
    assert "session_id" not in after


@on_sqlite
def test_untrusted_forwarding_headers_are_warned_of_once(
    make_api: Callable[..., Api], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(petsong.web, "_warned", set())
    api = make_api(log_level="WARNING")
    for _ in range(3):
        api.get("/", **{"X-Forwarded-For": "203.0.113.9"})
        api.get("/", Forwarded="for=203.0.113.9")
    assert len([line for line in log.lines() if "TRUSTED_PROXIES" in line["message"]]) == 1
    assert "203.0.113.9" not in log.text()


@on_sqlite
def test_trusted_forwarding_headers_are_no_news(
    make_api: Callable[..., Api], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(petsong.web, "_warned", set())
    make_api(log_level="WARNING", trusted_proxies=1).get("/", **{"X-Forwarded-For": "203.0.113.9"})
    assert "TRUSTED_PROXIES" not in log.text()


def test_a_lost_database_is_critical_without_its_password(api: Api, log: Log) -> None:
    logs.configure("INFO", "json")
    database.connect_to("postgresql://nobody:open-sesame@127.0.0.1:9/gone", pooled=True)
    api.get("/api/availability")
    assert {line["levelname"] for line in log.lines() if "database lost" in line["message"]} == {"CRITICAL"}
    assert "open-sesame" not in log.text()


def test_an_unknown_task_is_a_warning(make_api: Callable[..., Api], log: Log) -> None:
    api = make_api(log_level="WARNING")
    api.client.post("/api/webhook", json={"task_id": "whisper-me"})
    assert [(line["levelname"], line["message"]) for line in log.lines()] == [("WARNING", "webhook for an unknown task")]


class Collector(BaseHTTPRequestHandler):
    """Takes what an error collector is sent."""

    seen: list[bytes] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[str]:
    Collector.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://key@127.0.0.1:{server.server_port}/1"
    sentry_sdk.flush(5)
    sentry_sdk.init()  # off again
    server.shutdown()
    thread.join()
    server.server_close()


def test_reported_errors_hold_nothing_private(
    make_api: Callable[..., Api], collector: str, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    api = make_api(sentry_dsn=collector, log_level="INFO")

    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("for the collector")

    monkeypatch.setattr("petsong.web.webhook.receive_hint", crash)
    monkeypatch.setattr("petsong.web.submissions.accept", crash)
    api.client.post(WEBHOOK, json={"task_id": SECRETS["task"]}, environ_base={"REMOTE_ADDR": ADDRESS})
    api.post(key=SECRETS["key"], **GOOD)
    sentry_sdk.flush(5)
    sent = b"\n".join(Collector.seen).decode()
    assert sent.count("for the collector") >= 2 and "/api/webhook/" in sent
    assert [what for what, secret in SECRETS.items() if secret in sent] == []


@on_sqlite
def test_the_servers_own_lines_keep_addresses_to_themselves(start_gunicorn: Callable[..., Gunicorn]) -> None:
    server = start_gunicorn(log_level="INFO")
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET /api/webhook/feedface HTTP/9.9\r\n\r\n", b"nonsense\r\n\r\n",
                    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(garbage)
            raw.shutdown(socket.SHUT_WR)
            raw.recv(1000)
    requests.get(f"{server.address}/nothing", timeout=5)
    written = [line for line in server.lines() if "Listening" not in line]
    assert [line for line in written if "127.0.0.1" in line or "feedface" in line] == []
    assert all(json.loads(line) for line in written)
