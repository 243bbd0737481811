"""The only module that starts processes: finds ffmpeg and runs it within bounds."""

import logging
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from render.spec import RenderError

LAUNCHER = Path(__file__).with_name("launch.py")
DETAIL_BYTES = 64 * 1024
LOG_BYTES = 4 * 1024 * 1024
LINE_BYTES = 4096
POLL_SECONDS = 0.05
# What a child gets of our environment: it reads files of strangers, so it knows no password and no address of ours.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What one ffmpeg may take: address space and single files in bytes, CPU in seconds, niceness 0-19; 0 is no limit."""

    memory: int = 3 * 1024**3
    file_bytes: int = 512 * 1024**2  # the largest song that is taken, 20 MB, ends far below
    cpu_seconds: int = 600
    open_files: int = 64
    niceness: int = 5


@dataclass(frozen=True)
class Outcome:
    """A finished ffmpeg: the end of its log (at most 4 MB) and the stream time it reported last, in seconds."""

    log: str
    seconds: float


class Deadline:
    """A point in time that all steps of one render share."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, above 0. Raises RenderError render_timeout when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise RenderError("render_timeout", f"rendering took longer than {self.seconds:g} s and was stopped")
        return left


def find_ffmpeg(setting: str = "") -> str:
    """The absolute path of ffmpeg: the given setting, else PATH, else the binary that imageio-ffmpeg carries.

    Raises RenderError ffmpeg_missing. A setting that names nothing is an error, not a reason to guess.
    """
    if setting:
        found = shutil.which(setting)
        if found is None:
            raise RenderError("ffmpeg_missing", f"ffmpeg is set to {setting!r}, which is not an executable file:"
                              " correct the FFMPEG setting or leave it empty")
        return os.path.abspath(found)
    found = shutil.which("ffmpeg")
    return os.path.abspath(found) if found else _embedded()


def _embedded() -> str:
    try:
        import imageio_ffmpeg  # an optional extra: looked for only where nothing else is there
        return os.path.abspath(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise RenderError("ffmpeg_missing", "ffmpeg was not found: install it (apt install ffmpeg), set FFMPEG to"
                          " its path, or install the imageio-ffmpeg package") from None


def run_ffmpeg(
    argv: list[str],
    *,
    timeout: float,
    feed: Iterable[bytes] | None = None,
    progress: Callable[[float], None] | None = None,
    stop: threading.Event | None = None,
    limits: Limits | None = None,
) -> Outcome:
    """Run one ffmpeg to its end; nothing of it is left running, whatever is raised.

    `argv` starts with an absolute path and sends its progress to pipe:1. `feed` is written to its standard input.
    `progress` gets the stream time in seconds. `stop`, when set from another thread, ends the run.
    The child stays in our process group and dies with the thread that called, so a killed worker takes it along.
    Raises RenderError ffmpeg_failed, render_timeout or render_stopped.
    """
    deadline, said = Deadline(timeout), _Tail()
    process, (gate, opener) = None, os.pipe()
    try:
        process = _start(argv, feed is not None, limits or Limits(), gate)
        os.write(opener, b"!")
        seconds = _Conversation(process, said, feed, progress).run(deadline, stop)
        code = _wait(process, deadline)
    except RenderError as error:
        raise RenderError(error.code, str(error), _detail(argv, None, said)) from None
    finally:
        for end in (gate, opener):
            os.close(end)
        if process is not None:
            _end(process)
    if code:
        raise RenderError("ffmpeg_failed", _reason(code, said), _detail(argv, code, said))
    return Outcome(said.text(LOG_BYTES), seconds)


@cache
def _network_stays(reason: str) -> None:
    """Said once per process: the rest of the confinement holds all the same."""
    log.info("ffmpeg keeps its network: the kernel does not take it away without root", extra={"reason": reason})


def _start(argv: list[str], piped: bool, limits: Limits, gate: int) -> "subprocess.Popen[bytes]":
    """Start the launcher, which waits for a byte at `gate`: a job's alarm may ring in here and leave nobody to end it."""
    numbers = (gate, os.getpid(), limits.memory, limits.cpu_seconds, limits.file_bytes,
               limits.open_files, limits.niceness)
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(LAUNCHER), *map(str, numbers), *argv],
        stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=(gate,),
        env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    )


def _wait(process: "subprocess.Popen[bytes]", deadline: Deadline) -> int:
    """The exit code; a child that closed its output may still not end."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(timeout=deadline.left())
    raise RenderError("render_timeout", f"rendering took longer than {deadline.seconds:g} s and was stopped")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


class _Tail:
    """The end of what a child says, however much that is: a file could fill the disk, and a full disk lose the log."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > 2 * LOG_BYTES:
            del self._data[:-LOG_BYTES]

    def text(self, size: int) -> str:
        """At most `size` bytes; what is no text is left out, as a replacement would be longer."""
        return self._data[max(0, len(self._data) - size) :].decode(errors="ignore")


class _Conversation:
    """Feeds and reads all pipes in one thread, so that neither a full pipe nor a frozen child hangs it."""

    def __init__(
        self, process: Any, said: _Tail, feed: Iterable[bytes] | None, progress: Callable[[float], None] | None
    ) -> None:
        self.process = process
        self.said = said
        self.chunks: Iterator[bytes] = iter(feed or ())
        self.chunk = memoryview(b"")
        self.progress = progress
        self.text = b""
        self.seconds = 0.0

    def run(self, deadline: Deadline, stop: threading.Event | None) -> float:
        """Until the child closes its outputs; returns the last stream time in seconds."""
        with selectors.DefaultSelector() as selector:
            outputs = {self.process.stdout: self._read, self.process.stderr: self._listen}
            for pipe, turn in outputs.items():
                selector.register(pipe, selectors.EVENT_READ, turn)
            if self.process.stdin is not None:
                os.set_blocking(self.process.stdin.fileno(), False)
                selector.register(self.process.stdin, selectors.EVENT_WRITE, self._write)
            while outputs.keys() & {key.fileobj for key in selector.get_map().values()}:
                if stop is not None and stop.is_set():
                    raise RenderError("render_stopped", "rendering was stopped")
                for key, _ in selector.select(min(POLL_SECONDS, deadline.left())):
                    if not key.data():
                        selector.unregister(key.fileobj)
        return self.seconds

    def _write(self) -> bool:
        try:
            if not self.chunk:
                self.chunk = memoryview(next(self.chunks, b""))
            if self.chunk:
                self.chunk = self.chunk[os.write(self.process.stdin.fileno(), self.chunk) :]
                return True
        except BlockingIOError:
            return True
        except BrokenPipeError:
            pass  # it ended early: its exit code says why
        self.process.stdin.close()
        return False

    def _read(self) -> bool:
        data = os.read(self.process.stdout.fileno(), 65536)
        *lines, rest = (self.text + data).split(b"\n")
        self.text = rest[-LINE_BYTES:]
        for line in lines:
            name, _, value = line.partition(b"=")
            if name == b"out_time_us" and value.strip().isdigit():
                self.seconds = int(value) / 1e6
                if self.progress is not None:
                    self.progress(self.seconds)
            elif name == b"launch_network":
                _network_stays(value.decode(errors="replace"))
        return bool(data)

    def _listen(self) -> bool:
        data = os.read(self.process.stderr.fileno(), 65536)
        self.said.add(data)
        return bool(data)


def _reason(code: int, said: _Tail) -> str:
    if code < 0:
        return f"ffmpeg was killed by {_name(-code)}"
    lines = [line for line in said.text(LINE_BYTES).splitlines() if line.strip()]
    last = "".join(letter for letter in lines[-1] if letter.isprintable())[:200] if lines else "it said nothing"
    return f"ffmpeg ended with code {code}: {last}"


def _name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _detail(argv: list[str], code: int | None, said: _Tail) -> str:
    head = f"{shlex.join(argv)}\ncode: {code}\n"[: DETAIL_BYTES // 4]
    return head + said.text(DETAIL_BYTES - len(head.encode(errors="replace")))
