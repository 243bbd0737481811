"""A receiver of our webhooks, for the tests of what leaves us: real HTTP, answers to order, and what came in."""
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_ZXhhbXBsZS1zZWNyZXQtZXhhbXBsZS1zZWNyZXQ="
OTHER_SECRET = "whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldC1vdGhlcg=="


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[tuple[int, bytes, dict[str, str]]] = []  # used up in order; then 204
        self.delay = 0.0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/hooks/secret-path"

    def will_answer(self, *statuses: int, body: bytes = b"", **headers: str) -> None:
        self.answers += [(status, body, headers) for status in statuses]

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.seen]

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.seen]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
        time.sleep(self.server.delay)
        status, said, headers = self.server.answers.pop(0) if self.server.answers else (204, b"", {})
        try:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(said)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)
        except OSError:
            pass  # the sender did not wait

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
