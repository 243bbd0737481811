"""How the bytes of a song file leave the house: whole, or broken in a given way."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 64 * 1024
DRIPS = 200  # pieces of a dripping song


@dataclass(frozen=True)
class Stream:
    """What Content-Length says, and the bytes that really come."""

    length: int
    chunks: Iterator[bytes]


def _read(path: Path, limit: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while limit > 0 and (chunk := file.read(min(CHUNK, limit))):
            limit -= len(chunk)
            yield chunk


def whole(path: Path, seconds: float) -> Stream:
    size = path.stat().st_size
    return Stream(size, _read(path, size))


def cut(path: Path, seconds: float) -> Stream:
    """Half the promised bytes, then the connection ends."""
    size = path.stat().st_size

    def chunks() -> Iterator[bytes]:
        yield from _read(path, size // 2)
        raise ConnectionAbortedError("cut on purpose")

    return Stream(size, chunks())


def truncated(path: Path, seconds: float) -> Stream:
    """A file that ends after 60 %, honestly counted, while its own header still claims the full song."""
    size = path.stat().st_size * 6 // 10
    return Stream(size, _read(path, size))


def dripping(path: Path, seconds: float) -> Stream:
    """All of it, evenly over `seconds`."""
    size = path.stat().st_size
    step = size // DRIPS + 1

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(step):
                time.sleep(seconds * len(chunk) / size)
                yield chunk

    return Stream(size, chunks())
