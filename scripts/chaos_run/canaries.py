"""What must never stand in a log or in Redis: names, keys, tokens, photos. A search in files, read line by line."""
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from scripts.chaos_run.campaign import OWNER_WORD, PET_WORD

# Beginnings of any JPEG: as bytes, as base64, and as the data: address that a browser sends.
PHOTOS = (b"\xff\xd8\xff\xe0", b"/9j/4AAQ", b"data:image/")
TOKEN = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def needles(secrets: Mapping[str, str]) -> dict[str, bytes]:
    """The canaries with a name each, which stands in the finding instead of the secret."""
    words = {"a pet's name": PET_WORD.encode(), "an owner's name": OWNER_WORD.encode()}
    photos = {f"a photo, as {photo[:4]!r}": photo for photo in PHOTOS}
    return {**words, **{name: secret.encode() for name, secret in secrets.items()}, **photos}


def search(paths: Iterable[Path], wanted: Mapping[str, bytes], tokens: Iterable[str]) -> list[str]:
    """One finding for each canary and file, with the first line it was seen in and how often."""
    known = {token.encode() for token in tokens}
    found: dict[tuple[str, str], list[int]] = {}
    for path in paths:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                for name in _seen(line, wanted, known):
                    found.setdefault((path.name, name), []).append(number)
    return [f"{name} in {file}, line {lines[0]}, {len(lines)} times" for (file, name), lines in found.items()]


def _seen(line: bytes, wanted: Mapping[str, bytes], tokens: set[bytes]) -> Iterable[str]:
    lowered = line.lower()
    for name, needle in wanted.items():
        if needle in line or (needle.isalpha() and needle.lower() in lowered):
            yield name
    if any(token in tokens for token in TOKEN.findall(line)):
        yield "a webhook's token"
