"""Starting the stand-in from Python: a real process, so that it can be killed and started again like one."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from scripts.processes import end, spawn
from scripts.sandbox.client import SandboxClient

START_SECONDS = 60.0  # prewarm makes six songs
ROOT = Path(__file__).parents[2]
Option = float | int | str | bool | Path
# What is not said otherwise: composing a song takes seconds of a processor, and few tests need one.
DEFAULTS: dict[str, Option] = {"port": 0, "tune": "premade"}


class SandboxStartError(RuntimeError):
    """The process ended or stayed silent; the message carries the end of its output."""


class SandboxServer:
    """A running stand-in. `url` is its origin (the API is at url + "/v1"), `key` its API key, `client` its controls."""

    def __init__(self, options: dict[str, Option]) -> None:
        self._own_data = None if "data" in options else Path(tempfile.mkdtemp(prefix="petsong-sandbox-"))
        self._options: dict[str, Option] = {**DEFAULTS, "data": self._own_data or options["data"], **options}
        self.data = Path(str(self._options["data"]))
        self.key = str(options.get("key", "sksonauto_sandbox"))
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start()
        except SandboxStartError:
            self._forget()
            raise
        self.client = SandboxClient(self.url, self.key)

    def _start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        log = self.data / "sandbox.log"
        with log.open("wb") as out:
            self._process = spawn([sys.executable, "-m", "scripts.sandbox", *argv(self._options)], out, cwd=ROOT)
        self.url = _address(self._process, log)
        self._options["port"] = int(self.url.rpartition(":")[2])  # a restart is at the same address

    def stop(self) -> None:
        """SIGTERM, and the end of its folder unless `data` was given."""
        self.client.close()
        self._end(signal.SIGTERM)
        self._forget()

    def _forget(self) -> None:
        if self._own_data is not None:
            shutil.rmtree(self._own_data, ignore_errors=True)

    def kill(self) -> None:
        """kill -9: nothing is told, and nothing must be lost."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Ends it if it runs, and starts it at the same address with the same memory."""
        self._end(signal.SIGTERM)
        self._start()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            end(self._process, first=how)
            self._process = None

    def ledger(self) -> dict[str, Any]:
        return self.client.ledger()

    def set_faults(self, *faults: str | dict[str, Any]) -> None:
        """These faults and no others: a name, or {"fault": name, ...options}."""
        self.client.clear_faults()
        for fault in faults:
            self.client.add_fault(**({"fault": fault} if isinstance(fault, str) else fault))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def start(**options: Option) -> SandboxServer:
    """Starts the stand-in with its command line's options as keywords (generate_seconds=0, webhooks=False, ...).

    Without `port` it takes a free one, without `data` a folder that goes with it, without `tune` premade songs; `songs` (a
    folder) lets several share the songs made so far. Raises SandboxStartError.
    """
    return SandboxServer(options)


def argv(options: dict[str, Option]) -> list[str]:
    """The command line of options given as keywords."""
    words: list[str] = []
    for name, value in options.items():
        if name == "webhooks":
            words += [] if value else ["--no-webhooks"]
        elif isinstance(value, bool):
            words += [f"--{name.replace('_', '-')}"] if value else []
        else:
            words += [f"--{name.replace('_', '-')}", str(value.absolute() if isinstance(value, Path) else value)]
    return words


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while True:
        said = log.read_text(errors="replace")
        _before, found, after = said.partition("sandbox listening on ")
        if found and "\n" in after:
            return after.splitlines()[0]
        if process.poll() is not None or time.monotonic() > deadline:
            end(process)
            raise SandboxStartError(f"the song service's stand-in does not start: {said[-2000:] or 'it said nothing'}")
        time.sleep(0.02)
