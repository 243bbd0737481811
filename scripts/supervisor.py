"""Keeps a set of processes up: starts them, restarts what dies, ends all of them with all their children."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.processes import end_all, kill_sessions, spawn

ROOT = Path(__file__).resolve().parent.parent
LOOK_SECONDS = 0.05
QUICK_DEATH_SECONDS = 5.0
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0
TAIL_LINES = 12


class StartError(RuntimeError):
    """A process did not come up; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Child:
    """One process to keep up. `ready` says whether it does its work already; without one, living is enough."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    ready: Callable[[], bool] | None = None


@dataclass
class _Running:
    child: Child
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    delay: float = 0.0
    restart_at: float | None = None  # set between a death and the restart


class Supervisor:
    """`start` (in as many steps as have an order), then `watch`, in the end `stop`.

    Until `watch` a death is an error of the start; from then on the dead are restarted, with growing delays when they
    die quickly. `stop` ends the steps in reverse, so that workers go before the Redis they talk to.
    """

    def __init__(self, logs: Path, cwd: Path, say: Callable[[str], None] = print, grace: float = 5.0) -> None:
        self._logs, self._cwd, self._say, self._grace = logs, cwd, say, grace
        self._running: dict[str, _Running] = {}
        self._steps: list[list[str]] = []
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None
        self._restarting = threading.Event()
        self._over = threading.Event()
        self._guard: subprocess.Popen[str] | None = None
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, *children: Child, seconds: float = 30.0) -> None:
        """Start the children side by side and wait until those with a `ready` check are. Raises StartError."""
        self._steps.append([child.name for child in children])
        for child in children:
            self.log(child.name).unlink(missing_ok=True)
            with self._lock:
                self._running[child.name] = _Running(child, self._spawn(child))
        for child in children:
            if child.ready is not None:
                self.wait_for(child.ready, child.name, seconds)

    def wait_for(self, check: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until check() is true. Raises StartError when that takes longer, or when a child ended meanwhile."""
        deadline = time.monotonic() + seconds
        while not check():
            self._raise_for_the_dead()
            if time.monotonic() > deadline:
                raise StartError(f"{what} is not ready after {seconds:g} s{self._tail(what)}")
            time.sleep(LOOK_SECONDS)

    def watch(self) -> None:
        """From now on restart what dies, in a thread (which must live on: it is the parent of what it starts)."""
        self._raise_for_the_dead()
        self._restarting.set()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """End all children and all that they started. Does nothing the second time."""
        with self._lock:
            self._restarting.clear()
        for step in reversed(self._steps):
            end_all([self._running[name].process for name in step if name in self._running], self._grace)
        self._over.set()
        if self._watcher is not None:
            self._watcher.join()
        if self._guard is not None:
            self._guard.communicate()  # the end of its input ends it
            self._guard = None

    def pids(self) -> dict[str, int]:
        """Pid by name, of those that live at this moment."""
        with self._lock:
            return {name: one.process.pid for name, one in self._running.items() if one.process.poll() is None}

    def log(self, name: str) -> Path:
        """The file with all that the child printed since `start`."""
        return self._logs / f"{name}.log"

    def _spawn(self, child: Child) -> subprocess.Popen[bytes]:
        with self.log(child.name).open("ab") as output:
            process = spawn(child.argv, output, env=child.env, cwd=self._cwd)
        self._tell_guard(f"+{process.pid}")
        return process

    def _tell_guard(self, line: str) -> None:
        if self._guard is None:
            argv = [sys.executable, "-m", "scripts.guard"]
            self._guard = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, text=True, start_new_session=True)
        with contextlib.suppress(OSError):  # killed: we go on without
            print(line, file=self._guard.stdin, flush=True)

    def _raise_for_the_dead(self) -> None:
        if self._restarting.is_set():
            return
        for name, one in self._running.items():
            if one.process.poll() is not None:
                raise StartError(f"{name} {how_it_ended(one.process.returncode)}{self._tail(name)}")

    def _tail(self, name: str) -> str:
        log = self.log(name)
        lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:] if log.exists() else []
        return f"; the end of {log}:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with self._lock:
                for one in self._running.values():
                    if self._restarting.is_set() and one.process.poll() is not None:
                        self._tend(one)

    def _tend(self, one: _Running) -> None:
        """Note a death, or restart the dead once its delay is over."""
        now = time.monotonic()
        if one.restart_at is None:
            kill_sessions(one.process.pid)  # what it left behind may hold its port
            self._tell_guard(f"-{one.process.pid}")
            quick = now - one.started < QUICK_DEATH_SECONDS
            one.delay = min(max(one.delay * 2, FIRST_DELAY_SECONDS), LONGEST_DELAY_SECONDS) if quick else 0.0
            one.restart_at = now + one.delay
            when = f"in {one.delay:g} s" if one.delay else "now"
            ended = how_it_ended(one.process.returncode)
            self._say(f"{one.child.name} {ended}; restarting it {when} (log: {self.log(one.child.name)})")
        elif now >= one.restart_at:
            self._restart(one)

    def _restart(self, one: _Running) -> None:
        now = time.monotonic()
        try:
            one.process, one.started, one.restart_at = self._spawn(one.child), now, None
        except OSError as error:  # the program or its log folder is gone, or no process is to be had: it may come back
            one.restart_at = now + LONGEST_DELAY_SECONDS
            self._say(f"{one.child.name} cannot be restarted: {error}; trying again in {LONGEST_DELAY_SECONDS:g} s")


def how_it_ended(code: int) -> str:
    """A sentence's end for a return code of subprocess."""
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {signal.Signals(-code).name}"
