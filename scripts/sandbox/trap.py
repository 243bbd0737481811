"""A port of our own that nobody may ask: redirects that must not be followed lead there, and whoever comes is noted."""

import socket
import threading
import time
from contextlib import suppress

from scripts.sandbox.store import Store

PATIENCE_SECONDS = 1.0
ANSWER = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Trap:
    """`url` is its origin. A connection counts, also one that says nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        threading.Thread(target=self._run, name="trap", daemon=True).start()

    def _run(self) -> None:
        while True:
            connection, _address = self._socket.accept()
            with connection:
                self._note(_heard(connection))

    def _note(self, said: bytes) -> None:
        line = said.partition(b"\r\n")[0].decode("latin-1")
        with_key = b"\r\nauthorization:" in said.lower()
        self._store.change("INSERT INTO trespasses (at, request, with_key) VALUES (?, ?, ?)", time.time(), line, with_key)


def _heard(connection: socket.socket) -> bytes:
    said = b""
    connection.settimeout(PATIENCE_SECONDS)
    with suppress(OSError):
        said = connection.recv(16 * 1024)
        connection.sendall(ANSWER)
    return said
