"""The only module that starts processes: finds ffmpeg and runs it within bounds."""

import os
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from render.spec import RenderError

LAUNCHER = Path(__file__).with_name("launch.py")
DETAIL_BYTES = 64 * 1024
LOG_BYTES = 4 * 1024 * 1024
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Limits:
    """What one ffmpeg may take: address space and single files in bytes, CPU in seconds, niceness 0-19."""

    memory: int = 3 * 1024**3
    file_bytes: int = 2 * 1024**3
    cpu_seconds: int = 600
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
    deadline = Deadline(timeout)
    with tempfile.TemporaryFile() as log:
        process = _start(argv, log, feed is not None, limits or Limits())
        try:
            seconds = _Conversation(process, feed, progress).run(deadline, stop)
            code = _wait(process, deadline)
        except RenderError as error:
            _end(process)
            raise RenderError(error.code, str(error), _detail(argv, None, log)) from None
        finally:
            _end(process)
        if code:
            raise RenderError("ffmpeg_failed", _reason(code, log), _detail(argv, code, log))
        return Outcome(_tail(log, LOG_BYTES), seconds)


def _start(argv: list[str], log: IO[bytes], piped: bool, limits: Limits) -> "subprocess.Popen[bytes]":
    numbers = (os.getpid(), limits.memory, limits.cpu_seconds, limits.file_bytes, limits.niceness)
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(LAUNCHER), *map(str, numbers), *argv],
        stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        bufsize=0,
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
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


class _Conversation:
    """Feeds standard input and reads progress in one thread, so that neither a full pipe nor a frozen child hangs it."""

    def __init__(
        self, process: Any, feed: Iterable[bytes] | None, progress: Callable[[float], None] | None
    ) -> None:
        self.process = process
        self.chunks: Iterator[bytes] = iter(feed or ())
        self.chunk = memoryview(b"")
        self.progress = progress
        self.text = b""
        self.seconds = 0.0

    def run(self, deadline: Deadline, stop: threading.Event | None) -> float:
        """Until the child closes its output; returns the last stream time in seconds."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ, self._read)
            if self.process.stdin is not None:
                os.set_blocking(self.process.stdin.fileno(), False)
                selector.register(self.process.stdin, selectors.EVENT_WRITE, self._write)
            while self.process.stdout in selector.get_map():
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
        *lines, self.text = (self.text + data).split(b"\n")
        for line in lines:
            name, _, value = line.partition(b"=")
            if name == b"out_time_us" and value.strip().isdigit():
                self.seconds = int(value) / 1e6
                if self.progress is not None:
                    self.progress(self.seconds)
        return bool(data)


def _tail(log: IO[bytes], size: int) -> str:
    end = log.seek(0, os.SEEK_END)
    log.seek(max(0, end - size))
    return log.read(size).decode(errors="replace")


def _reason(code: int, log: IO[bytes]) -> str:
    if code < 0:
        return f"ffmpeg was killed by {signal.Signals(-code).name}"
    lines = [line for line in _tail(log, 4096).splitlines() if line.strip()]
    last = "".join(letter for letter in lines[-1] if letter.isprintable())[:200] if lines else "it said nothing"
    return f"ffmpeg ended with code {code}: {last}"


def _detail(argv: list[str], code: int | None, log: IO[bytes]) -> str:
    head = f"{shlex.join(argv)}\ncode: {code}\n"[: DETAIL_BYTES // 4]
    return head + _tail(log, DETAIL_BYTES - len(head.encode(errors="replace")))
