"""Songs that lie or weigh: what may stand before an MP3's first frame, put before that of a real song.

Each function takes a whole MP3 and returns one. Frames: ISO 11172-3 2.4.2.3; tags: ID3v2.3 and v2.4, chapters 3 and 4.
"""

import random
import struct
import zlib
from functools import cache

TEN_HOURS = 36000
SAMPLES = 1152  # of a frame of MPEG 1 layer III
BIT_RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
SAMPLE_RATES = (44100, 48000, 32000)
COVER_BYTES = 15 * 1024 * 1024
INFLATED_BYTES = 200 * 1024 * 1024
MANY_FRAMES = 200_000
LARGEST_TAG = b"\x7f\x7f\x7f\x7f"  # 256 MB, seven bits a byte


def _syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _tag(frames: bytes, *, version: int = 3, flags: int = 0) -> bytes:
    return b"ID3" + bytes((version, 0, flags)) + _syncsafe(len(frames)) + frames


def _frame(name: bytes, content: bytes, flags: int = 0) -> bytes:
    return name + struct.pack(">IH", len(content), flags) + content


def without_tag(song: bytes) -> bytes:
    """The song from its first frame on."""
    if not song.startswith(b"ID3"):
        return song
    size = sum((byte & 0x7F) << shift for byte, shift in zip(song[6:10], (21, 14, 7, 0), strict=True))
    return song[10 + size :]


def _silent_frame(song: bytes) -> bytearray:
    """A frame of the song's own format, all zero behind its header."""
    head = bytes((song[0], song[1] | 1, song[2] & 0xFC, song[3]))  # without a checksum, without padding
    bit_rate, rate = BIT_RATES[head[2] >> 4], SAMPLE_RATES[head[2] >> 2 & 3]
    return bytearray(head.ljust(144 * bit_rate * 1000 // rate, b"\0"))


def _frames_in_ten_hours(song: bytes) -> int:
    return int(TEN_HOURS * SAMPLE_RATES[song[2] >> 2 & 3] / SAMPLES)


def ten_hours_by_xing(song: bytes) -> bytes:
    """A Xing header first, which counts the frames of ten hours."""
    song = without_tag(song)
    frame = _silent_frame(song)
    side = 17 if song[3] >> 6 == 3 else 32  # bytes of side information: mono, else
    struct.pack_into(">4sII", frame, 4 + side, b"Xing", 1, _frames_in_ten_hours(song))
    return bytes(frame) + song


def ten_hours_by_vbri(song: bytes) -> bytes:
    """The same claim by Fraunhofer's header, which is always 32 bytes behind the frame's own."""
    song = without_tag(song)
    frame = _silent_frame(song)
    sizes = (100, len(song), _frames_in_ten_hours(song), 1, 1, 2, 1)  # quality, bytes, frames, table: one entry
    struct.pack_into(">4sHHHIIHHHH", frame, 36, b"VBRI", 1, 0, *sizes)
    return bytes(frame) + song


def tag_beyond_the_end(song: bytes) -> bytes:
    """A tag that says it is 256 MB long."""
    return b"ID3\x03\x00\x00" + LARGEST_TAG + without_tag(song)


def inflating_tag(song: bytes) -> bytes:
    """A compressed text: 200 kB that become 200 MB."""
    return _inflating_tag() + without_tag(song)


@cache
def _inflating_tag() -> bytes:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(INFLATED_BYTES >> 20)) + packer.flush()
    content = _syncsafe(INFLATED_BYTES) + packed
    return _tag(b"TXXX" + _syncsafe(len(content)) + b"\0\x09" + content, version=4)  # compressed, with its length


def unsynchronised_tag(song: bytes) -> bytes:
    """A text of nothing but bytes that must be escaped: 15 MB that become half of that."""
    text = COVER_BYTES // 2
    return _tag(b"TXXX" + struct.pack(">IH", text, 0) + b"\xff\x00" * text, flags=0x80) + without_tag(song)


def crowded_tag(song: bytes) -> bytes:
    """Frames without number, each a text of its own name."""
    return _crowded_tag() + without_tag(song)


@cache
def _crowded_tag() -> bytes:
    return _tag(b"".join(_frame(b"TXXX", b"\0%d\0x" % number) for number in range(MANY_FRAMES)))


def large_cover(song: bytes) -> bytes:
    """A picture of 15 MB."""
    return _large_cover() + without_tag(song)


@cache
def _large_cover() -> bytes:
    picture = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + random.Random(1).randbytes(COVER_BYTES)
    return _tag(_frame(b"APIC", b"\0image/jpeg\0\3\0" + picture))
