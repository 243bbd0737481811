"""What files claim about themselves, read without ffmpeg (the embedded binary comes without ffprobe)."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mutagen import MutagenError
from mutagen.mp3 import MPEGInfo

from render.spec import RenderError

MAX_MOOV_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class SongHeader:
    """An MP3's own claim: seconds, Hz, channels; `exact` when it counts its frames and does not state a bit rate alone."""

    seconds: float
    sample_rate: int
    channels: int
    exact: bool


def song_header(song: Path) -> SongHeader:
    """Read the first frames of an MP3. Raises RenderError audio_undecodable for anything that is not layer III."""
    start = tags_end(song)
    try:
        with open(song, "rb") as file:
            file.seek(start)
            if _is_free_format(file.read(4)):
                raise RenderError("audio_undecodable", "the song is an MP3 of free format, which few programs play:"
                                  " encode it at a bit rate that its frames state")
            info = MPEGInfo(file, start)
            size = os.fstat(file.fileno()).st_size
    except (OSError, MutagenError, EOFError, ValueError, struct.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no MP3 frames found"
        raise RenderError("audio_undecodable", f"the song cannot be read as MP3: {reason}", repr(error)) from None
    if info.sketchy or info.layer != 3:
        raise RenderError("audio_undecodable", "the song cannot be read as MP3: its frames do not follow each other")
    # A count of frames is believed whoever wrote it: mutagen knows the bit rate's mode by a few encoders' marks only.
    estimate = 8 * (size - info.frame_offset) / info.bitrate if info.bitrate else 0.0
    return SongHeader(float(info.length), info.sample_rate, info.channels, exact=info.length != estimate)


def _is_free_format(head: bytes) -> bool:
    """Layer III frames that do not tell their size (ISO 11172-3 2.4.2.3, bit rate index 0)."""
    return len(head) == 4 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[2] >> 4 == 0 and head[2] & 0x0C != 0x0C


def tags_end(song: Path) -> int:
    """The byte at which an MP3's leading ID3v2 tags end (ID3v2.4 structure 3.1); 0 without any. Raises RenderError."""
    at = 0
    try:
        with open(song, "rb") as file:
            while (head := file.read(10))[:3] == b"ID3" and len(head) == 10:
                size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
                at += 10 + size + (10 if head[5] & 0x10 else 0)  # the flag of a footer
                file.seek(at)
    except OSError as error:
        raise RenderError("audio_undecodable", f"the song cannot be read as MP3: {error.strerror}", repr(error)) from None
    return at


@dataclass(frozen=True)
class Track:
    """One track of an MP4: kind is "vide" or "soun", seconds as players show it, samples are frames or packets."""

    kind: str
    seconds: float
    samples: int


@dataclass(frozen=True)
class Movie:
    """An MP4's table of contents; `moov_first` when it can play before it has arrived whole."""

    tracks: tuple[Track, ...]
    moov_first: bool

    def track(self, kind: str) -> Track | None:
        """The only track of that kind, or None when there is none or more than one."""
        found = [track for track in self.tracks if track.kind == kind]
        return found[0] if len(found) == 1 else None


def read_movie(path: Path) -> Movie:
    """Parse the box structure of an MP4 (ISO/IEC 14496-12). Raises RenderError output_invalid."""
    try:
        with open(path, "rb") as file:
            boxes = list(_boxes(file, os.fstat(file.fileno()).st_size))
            order = [name for name, _, _ in boxes]
            _, start, end = boxes[order.index(b"moov")]
            file.seek(start)
            moov = file.read(min(end - start, MAX_MOOV_BYTES))
        scale, _ = _times(_child(moov, b"mvhd"), header=True)
        tracks = tuple(_track(data, scale) for name, data in _children(moov) if name == b"trak")
        return Movie(tracks, b"mdat" in order and order.index(b"moov") < order.index(b"mdat"))
    except (OSError, ValueError, KeyError, struct.error, ZeroDivisionError) as error:
        raise RenderError("output_invalid", "the video file is not a whole MP4", repr(error)) from None


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Top-level boxes as (name, start of content, end), without reading what is in them."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            length, head = struct.unpack(">Q", file.read(8))[0], 16
        end = size if length == 0 else at + length
        if end < at + head or end > size:
            raise ValueError(f"box {name!r} reaches beyond the end of the file")
        yield name, at + head, end
        at = end


def _children(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if length < 8 or at + length > len(data):
            raise ValueError(f"box {name!r} has a wrong length")
        yield name, data[at + 8 : at + length]
        at += length


def _child(data: bytes, *names: bytes) -> bytes:
    for name in names:
        data = dict(_children(data))[name]
    return data


def _times(box: bytes, header: bool) -> tuple[int, int]:
    """(timescale or track id, duration) of mvhd (header) or tkhd, in both of their versions."""
    wide = box[0] == 1
    first = struct.unpack_from(">I", box, 20 if wide else 12)[0]
    at = (24 if wide else 16) + (0 if header else 4)
    return first, struct.unpack_from(">Q" if wide else ">I", box, at)[0]


def _track(trak: bytes, scale: int) -> Track:
    kind = _child(trak, b"mdia", b"hdlr")[8:12].decode("latin-1")
    samples = struct.unpack_from(">I", _child(trak, b"mdia", b"minf", b"stbl", b"stsz"), 8)[0]
    return Track(kind, _times(_child(trak, b"tkhd"), header=False)[1] / scale, samples)
