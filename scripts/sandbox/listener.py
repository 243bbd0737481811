"""The process behind the address: werkzeug's threaded server on a socket of our own, and everything put together."""

import logging
import socket
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from scripts.sandbox.app import House, create_app, ending_connections
from scripts.sandbox.control import control
from scripts.sandbox.desk import Desk
from scripts.sandbox.ledger import Ledger
from scripts.sandbox.store import Store
from scripts.sandbox.trap import Trap
from scripts.sandbox.tunes import Tunes
from scripts.sandbox.webhooks import Webhooks

BACKLOG = 256


class StartError(RuntimeError):
    """The stand-in cannot start; the message says why."""


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The ledger is the log."""

    def connection_dropped(self, error: BaseException, environ: object = None) -> None:
        self.close_connection = True  # HTTP/1.1 would wait for the next request instead


class Listener:
    """A bound address: known before anything answers at it, because the songs' addresses carry it."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except (OSError, OverflowError) as error:
            raise StartError(f"cannot listen on {host}:{port}: {error}; choose another --port, or 0") from error
        self._host = host
        self.port = int(self._socket.getsockname()[1])

    def run(self, house: House, ready: str) -> None:
        """Prints the line `ready` and answers until the process ends."""
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        app = ending_connections(create_app(house, control))
        server = make_server(
            self._host, self.port, app, threaded=True, request_handler=_Handler, fd=self._socket.fileno()
        )
        trap = Trap(house.ledger.store)
        house.trap_url = trap.url
        trap.start()
        house.webhooks.start()
        print(ready, flush=True)
        server.serve_forever()


def build(data: Path, songs: Path, base_url: str, settings: dict[str, object]) -> House:
    """Opens the memory in `data` and takes over where the last process stopped. Raises SettingError."""
    data.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(Store(data / "sandbox.db"))
    ledger.command_line(settings)
    webhooks = Webhooks(ledger.store, ledger, base_url)
    return House(ledger, Desk(ledger, webhooks, Tunes(songs)), webhooks, base_url)
