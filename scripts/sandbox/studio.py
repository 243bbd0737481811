"""Where composed songs are made and kept: a process of its own for each, once, and the words' times beside the file."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.processes import dies_with_parent
from scripts.sandbox.tunes import TuneError, encode, find_ffmpeg

ROOT = Path(__file__).parents[2]
COMPOSE_SECONDS = 120
AT_ONCE = max(1, (os.cpu_count() or 2) // 2)
VERSION = 1  # of the composer: a song of another one is made anew

TimedWord = tuple[str, float, float]


@dataclass(frozen=True)
class Commission:
    """What a song is composed from, as the composer reads it (compose/song.py)."""

    prompt: str
    tags: tuple[str, ...]
    vibe: str
    text: str
    instrumental: bool = False

    @property
    def name(self) -> str:
        """The same for the same order; part of its files' names."""
        told = json.dumps([VERSION, *asdict(self).values()])
        return f"song-{hashlib.sha256(told.encode()).hexdigest()[:24]}"


class Studio:
    """The composed songs, in a folder. Safe to ask from many threads: each is made once, a few at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._desks = threading.BoundedSemaphore(AT_ONCE)
        self._failed: dict[str, str] = {}

    def song(self, order: Commission, file_format: str, nice: int = 0) -> Path:
        """The file of an order's song, made if it is not there, by processes as `nice` as this. Raises TuneError when it
        cannot be composed, and then for this song always: its lyrics' times must not change any more."""
        out = self.folder / f"{order.name}.{file_format}"
        with self._locks[order.name]:
            if out.exists() and self._words(order).exists():
                return out
            if order.name in self._failed:
                raise TuneError(self._failed[order.name])
            try:
                with self._desks:
                    self._make(order, file_format, out, nice)
            except TuneError as error:
                self._failed[order.name] = str(error)
                print(f"sandbox: not composed: {error}", file=sys.stderr, flush=True)
                raise
            return out

    def timing(self, order: Commission) -> list[TimedWord] | None:
        """The words as they are sung, with seconds; None while the song is not made. Raises TuneError where it was
        tried in vain."""
        if order.name in self._failed:
            raise TuneError(self._failed[order.name])
        try:
            found = json.loads(self._words(order).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return [(str(text), float(start), float(end)) for text, start, end in found["words"]]

    def _words(self, order: Commission) -> Path:
        return self.folder / f"{order.name}.json"

    def _make(self, order: Commission, file_format: str, out: Path, nice: int) -> None:
        # The process in the names: two stand-ins may share a folder of songs.
        wav, words = (self.folder / f"{order.name}.{os.getpid()}.{kind}.part" for kind in ("wav", "json"))
        try:
            _compose(order, wav, words, nice)
            encode(find_ffmpeg(), wav, file_format, out)
            words.replace(self._words(order))
        finally:
            wav.unlink(missing_ok=True)
            words.unlink(missing_ok=True)


def _compose(order: Commission, wav: Path, words: Path, nice: int) -> None:
    command = [sys.executable, "-m", "scripts.sandbox.compose", "--wav", str(wav.absolute()), "--words", str(words.absolute())]
    argv = dies_with_parent(["nice", "-n", str(nice), *command], "KILL")
    try:
        told = json.dumps(asdict(order)).encode()
        done = subprocess.run(argv, input=told, capture_output=True, timeout=COMPOSE_SECONDS, cwd=ROOT)
    except subprocess.TimeoutExpired as error:
        raise TuneError(f"composing took over {COMPOSE_SECONDS} s") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise TuneError(f"the composer ended with {done.returncode}: {said}")
