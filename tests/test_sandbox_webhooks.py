"""The stand-in's webhooks, delivered to a real receiver."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from scripts.sandbox.client import SandboxClient
from scripts.sandbox.server import SandboxServer, start


class Receiver(ThreadingHTTPServer):
    """Keeps every body it gets; answers with `answers` in turn, then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keep)
        self.bodies: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/api/webhook/token"


class _Keep(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with start(generate_seconds=60, song_seconds=1) as server:
        yield server


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxClient:
    server.client.reset()
    return server.client


def ordered(sandbox: SandboxClient, receiver: Receiver, prompt: str = "a song") -> str:
    answer = sandbox.submit({"prompt": prompt, "webhook_url": receiver.url, "output_format": "mp3"})
    return str(answer.json()["task_id"])


def eventually(fulfilled: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not fulfilled():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def deliveries(sandbox: SandboxClient) -> list[Any]:
    return [call["status"] for call in sandbox.orders()[0]["webhook_deliveries"]]


def test_a_success_is_told_once_at_its_end_with_its_song(sandbox: SandboxClient, receiver: Receiver) -> None:
    sandbox.configure(generate_seconds=0.3)
    task_id = ordered(sandbox, receiver)
    assert receiver.bodies == []
    eventually(lambda: deliveries(sandbox) == [200])
    path = f"{sandbox.url}/files/audio_{task_id}_0.mp3"
    assert receiver.bodies == [{"task_id": task_id, "status": "SUCCESS", "song_paths": [path]}]
    [order] = sandbox.orders()
    assert order["webhook_deliveries"][0]["at"] >= order["ended_at"]


def test_a_failure_is_told_with_its_reason(sandbox: SandboxClient, receiver: Receiver) -> None:
    sandbox.add_fault("failure")
    task_id = ordered(sandbox, receiver)
    sandbox.finish()
    eventually(lambda: receiver.bodies)
    [body] = receiver.bodies
    assert (body["task_id"], body["status"], body.keys()) == (
        task_id,
        "FAILURE",
        {"task_id", "status", "error_message"},
    )


def test_a_refused_webhook_is_tried_three_times_more(sandbox: SandboxClient, receiver: Receiver) -> None:
    receiver.answers = [500, 404, 503, 500, 500]
    ordered(sandbox, receiver)
    sandbox.finish()
    eventually(lambda: len(deliveries(sandbox)) == 4)
    time.sleep(0.3)
    assert deliveries(sandbox) == [500, 404, 503, 500]


def test_a_webhook_is_not_repeated_once_it_was_taken(sandbox: SandboxClient, receiver: Receiver) -> None:
    receiver.answers = [500]
    ordered(sandbox, receiver)
    sandbox.finish()
    eventually(lambda: deliveries(sandbox) == [500, 200])
    time.sleep(1.2)
    assert len(receiver.bodies) == 2


def test_an_unreachable_receiver_is_noted_by_its_error(sandbox: SandboxClient) -> None:
    sandbox.submit({"prompt": "x", "webhook_url": "http://127.0.0.1:1/nobody"})
    sandbox.finish()
    eventually(lambda: deliveries(sandbox)[:1] == ["ConnectionError"])


def test_webhooks_can_be_switched_off(sandbox: SandboxClient, receiver: Receiver) -> None:
    sandbox.configure(webhooks=False)
    ordered(sandbox, receiver)
    sandbox.finish()
    time.sleep(0.5)
    assert receiver.bodies == []


def test_the_command_line_switches_webhooks_off_too() -> None:
    with start(webhooks=False) as server:
        assert server.client.configure()["webhooks"] is False


def test_fault_no_webhook_is_silent_for_the_matching_order_only(sandbox: SandboxClient, receiver: Receiver) -> None:
    sandbox.add_fault("no_webhook", match="quiet")
    ordered(sandbox, receiver, "a quiet one")
    told = ordered(sandbox, receiver, "a loud one")
    sandbox.finish()
    eventually(lambda: receiver.bodies)
    time.sleep(0.3)
    assert [body["task_id"] for body in receiver.bodies] == [told]


def test_fault_webhook_twice_tells_it_twice(sandbox: SandboxClient, receiver: Receiver) -> None:
    sandbox.add_fault("webhook_twice")
    task_id = ordered(sandbox, receiver)
    sandbox.finish()
    eventually(lambda: deliveries(sandbox) == [200, 200])
    assert [body["task_id"] for body in receiver.bodies] == [task_id, task_id]


def test_fault_webhook_early_tells_it_before_the_submit_is_answered(sandbox: SandboxClient, receiver: Receiver) -> None:
    sandbox.add_fault("webhook_early")
    task_id = ordered(sandbox, receiver)
    # No waiting: it was there before the answer was.
    assert [(body["task_id"], body["status"]) for body in receiver.bodies] == [(task_id, "SUCCESS")]
    assert sandbox.status(task_id).json() == "SUCCESS"
    time.sleep(0.3)
    assert len(receiver.bodies) == 1


def test_what_fell_due_while_it_was_dead_is_sent_after_the_restart(receiver: Receiver) -> None:
    with start(generate_seconds=0.7, song_seconds=1) as server:
        task_id = ordered(server.client, receiver)
        server.kill()
        time.sleep(0.8)
        assert receiver.bodies == []
        server.restart()
        eventually(lambda: receiver.bodies)
    assert [body["task_id"] for body in receiver.bodies] == [task_id]
