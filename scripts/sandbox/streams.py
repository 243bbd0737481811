"""How the bytes of a song file leave the house: whole, or broken in a given way."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 64 * 1024
DRIPS = 200  # pieces of a dripping song


@dataclass(frozen=True)
class Stream:
    """What Content-Length says (None: there is none), the bytes that really come, and another type than the song's."""

    length: int | None
    chunks: Iterator[bytes]
    mimetype: str = ""


Sender = Callable[[Path, float], Stream]


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


def trickling(path: Path, seconds: float) -> Stream:
    """All of it is promised, and one byte comes every `seconds`: no silence lasts long, and no end is near."""

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(1):
                yield chunk
                time.sleep(seconds)

    return Stream(path.stat().st_size, chunks())


def endless(path: Path, seconds: float) -> Stream:
    """The song again and again, and nothing says how long."""

    def chunks() -> Iterator[bytes]:
        while True:
            yield from _read(path, path.stat().st_size)

    return Stream(None, chunks())


def longer(path: Path, seconds: float) -> Stream:
    """The whole song, of which a tenth more was promised; then the connection ends."""
    return Stream(path.stat().st_size * 11 // 10, _read_and_end(path))


def shorter(path: Path, seconds: float) -> Stream:
    """The whole song, of which six tenths were promised; then the connection ends."""
    return Stream(path.stat().st_size * 6 // 10, _read_and_end(path))


def _read_and_end(path: Path) -> Iterator[bytes]:
    yield from _read(path, path.stat().st_size)
    raise ConnectionAbortedError("ended on purpose: what was promised does not fit")


def typed(mimetype: str) -> Sender:
    """The whole song by the name of something else."""

    def send(path: Path, seconds: float) -> Stream:
        size = path.stat().st_size
        return Stream(size, _read(path, size), mimetype)

    return send


def forged(forge: Callable[[bytes], bytes]) -> Sender:
    """What `forge` (of forgeries.py) makes of an MP3, honestly counted; other formats go out as they are."""

    def send(path: Path, seconds: float) -> Stream:
        if path.suffix != ".mp3":
            return whole(path, seconds)
        data = forge(path.read_bytes())
        return Stream(len(data), (data[at : at + CHUNK] for at in range(0, len(data), CHUNK)))

    return send
