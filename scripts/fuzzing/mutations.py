"""Ways to damage a file. Each takes a generator, the file's bytes and another file, and returns bytes."""

import random
import re
import struct
import zlib
from collections.abc import Callable

from scripts.sandbox import forgeries

Mutation = Callable[[random.Random, bytes, bytes], bytes]
MOST_BYTES = 5 * 1024 * 1024
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
MP3_HEAD = re.compile(rb"\xff[\xe2-\xff][\x10-\xef]", re.DOTALL)
JPEG_SEGMENT = re.compile(rb"\xff([\xc0-\xfe])", re.DOTALL)


def _span(rng: random.Random, data: bytes, most: int = 4096) -> tuple[int, int]:
    at = rng.randrange(len(data) + 1)
    return at, min(len(data), at + rng.choice((1, 4, 64, most, len(data))))


def flip_bits(rng: random.Random, data: bytes, other: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(rng.choice((1, 3, 30, 300))):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def flip_near_the_start(rng: random.Random, data: bytes, other: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(rng.choice((1, 2, 8))):
        made[rng.randrange(min(len(made), 600))] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))
    return bytes(made)


def cut_end(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.choice((rng.randrange(64), rng.randrange(len(data)), len(data) - rng.randrange(1, 200)))]


def cut_start(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[rng.choice((rng.randrange(64), rng.randrange(len(data)))) :]


def remove(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def repeat(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _span(rng, data)
    return (data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:])[:MOST_BYTES]


def blank(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + rng.choice((b"\0", b"\xff", b"ID3")) * (end - start) + data[end:]


def insert_noise(rng: random.Random, data: bytes, other: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.choice((1, 7, 400, 60_000))) + data[at:]


def splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A piece of another file in the midst of this one, or half of each."""
    at, (start, end) = rng.randrange(len(data) + 1), _span(rng, other)
    return data[:at] + other[start:end] + (data[at:] if rng.random() < 0.7 else b"")


def lie_in_a_number(rng: random.Random, data: bytes, other: bytes) -> bytes:
    size = rng.choice((1, 2, 4))
    number = rng.choice(NUMBERS) & (1 << 8 * size) - 1
    at = rng.choice((rng.randrange(len(data)), rng.randrange(min(len(data), 400))))
    return data[:at] + number.to_bytes(size, rng.choice(("big", "little"))) + data[at + size :]


def lie_in_mp3_heads(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Another bit rate, sample rate, layer or number of channels, in one frame or from one on."""
    found = [match.start() for match in MP3_HEAD.finditer(data)]
    if not found:
        return data
    made, first = bytearray(data), rng.randrange(len(found))
    change = rng.randbytes(3)
    for at in found[first : rng.choice((first + 1, first + 5, len(found)))]:
        for index, byte in enumerate(change, 1):
            made[at + index] = made[at + index] & 0xF0 | byte & 0x0F if rng.random() < 0.5 else byte
        made[at + 1] |= 0xE0
    return bytes(made)


def lie_in_the_tag(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A tag of any size, version and flags, before the song or, over and over, within."""
    size = bytes(rng.choice((0, 0x7F, rng.randrange(256))) for _ in range(4))
    tag = b"ID3" + bytes((rng.randrange(6), 0, rng.randrange(256))) + size
    at = rng.choice((0, 0, rng.randrange(len(data))))
    return data[:at] + tag * rng.choice((1, 1, 300)) + data[at:]


def forge(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """The known lies, and damage on top of them."""
    if not MP3_HEAD.match(forgeries.without_tag(data)):
        return data
    lie = rng.choice((forgeries.ten_hours_by_xing, forgeries.ten_hours_by_vbri, forgeries.tag_beyond_the_end,
                      forgeries.inflating_tag))
    try:
        return flip_near_the_start(rng, lie(data), other)
    except (IndexError, ZeroDivisionError, struct.error):  # the frame it would copy is too small for the lie
        return data


def lie_in_a_png_chunk(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Other contents, kind or place of one chunk; the check sum is right, so that the lie is read."""
    head, chunks, at = data[:8], [], 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return data
    number = rng.randrange(len(chunks))
    kind, body = chunks[number]
    body = rng.choice((lie_in_a_number, flip_bits, cut_end, insert_noise))(rng, body or b"\0", other)
    if rng.random() < 0.2:
        kind = rng.choice((b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"eXIf", b"acTL", b"fdAT", b"IEND", b"gAMA"))
    chunks[number : number + (rng.random() < 0.8)] = [(kind, body)] * rng.choice((1, 1, 40))
    return head + b"".join(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
                           for kind, body in chunks)


def lie_in_a_jpeg_segment(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Other sizes, tables, lengths or kinds of one segment, or the same again and again."""
    found = [match.start() for match in JPEG_SEGMENT.finditer(data[:4000])]
    if not found:
        return data
    at, made = rng.choice(found), bytearray(data)
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    for _ in range(rng.choice((0, 1, 4))):
        made[min(len(made) - 1, at + 2 + rng.randrange(max(1, min(length, 40))))] = rng.choice((0, 1, 0xFF, rng.randrange(256)))
    if rng.random() < 0.3:
        made[at + 1] = rng.randrange(0xC0, 0xFF)
    segment = bytes(made[at : at + 2 + length])
    return bytes(made[:at]) + segment * rng.choice((0, 0, 1, 90)) + bytes(made[at:])


ANY: tuple[Mutation, ...] = (flip_bits, flip_near_the_start, cut_end, cut_start, remove, repeat, blank, insert_noise, splice,
                             lie_in_a_number)
OF_SONGS = (*ANY, *(lie_in_mp3_heads, lie_in_the_tag, forge) * 2)
OF_PHOTOS = (*ANY, *(lie_in_a_png_chunk, lie_in_a_jpeg_segment) * 4)


def mutate(rng: random.Random, data: bytes, others: list[bytes], ways: tuple[Mutation, ...]) -> bytes:
    """One to three kinds of damage, one after the other."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        if data:
            data = rng.choice(ways)(rng, data, rng.choice(others))
    return data[:MOST_BYTES]
