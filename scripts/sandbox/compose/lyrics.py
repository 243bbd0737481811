"""Words for a song from verses.toml, by pet type and vibe, different for every order and the same for the same one."""

import hashlib
import random
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scripts.sandbox.lyrics import names

# A name longer than this, of several words, is called by its first one (or two, if that is as short as "Mr").
CALLED_LENGTH = 9
_KIND = re.compile(r"their beloved (?P<kind>\S+) ")
_SAID = re.compile(r"The name (?P<name>.+?) is pronounced \"(?P<said>.+?)\"")
_FIELD = re.compile(r"\{(\w+)\}")
_LABEL = re.compile(r"^\[(?P<name>.+)\]$")

# The parts of a song and how many lines each has, by vibe: what fits into about 110 seconds at its tempo.
FORMS: dict[str, tuple[tuple[str, int], ...]] = {
    "chill": (("Verse", 4), ("Chorus", 2), ("Verse", 4), ("Chorus", 2), ("Bridge", 2), ("Chorus", 4)),
    "energetic": (
        ("Verse", 4), ("Chorus", 4), ("Verse", 4), ("Chorus", 4), ("Bridge", 4), ("Chorus", 4), ("Chorus", 4),
    ),
}
_USUAL = (("Verse", 4), ("Chorus", 4), ("Verse", 4), ("Chorus", 4), ("Bridge", 2), ("Chorus", 4))


@dataclass(frozen=True)
class Section:
    """A part of a song: its kind (verse, chorus, bridge), its label as in the lyrics ("[Verse 1]", or none), its lines."""

    kind: str
    label: str
    lines: tuple[str, ...]


def seed(prompt: str, tags: list[str], purpose: str = "") -> int:
    """The same for the same order and purpose, on every machine."""
    return int.from_bytes(hashlib.sha256("\0".join([purpose, prompt, *tags]).encode()).digest()[:8])


def pet_kind(prompt: str) -> str:
    """dog, cat, bird, fish, or companion for every other one."""
    found = _KIND.search(prompt)
    kind = found["kind"].lower() if found else ""
    return kind if kind in ("dog", "cat", "bird", "fish") else "companion"


def said(prompt: str) -> dict[str, str]:
    """How names are pronounced, where the order tells."""
    return {found["name"]: found["said"] for found in _SAID.finditer(prompt)}


def called(name: str) -> str:
    """A name as one calls it: all of it, but the first word of a long one."""
    words = name.split()
    if len(name) <= CALLED_LENGTH or len(words) < 2:
        return name
    return words[0] if len(words[0].strip(".")) > 3 else " ".join(words[:2])


def write(prompt: str, tags: list[str], vibe: str) -> str:
    """The lyrics of an order, with [Section] labels; a chorus is the same each time."""
    chance = random.Random(seed(prompt, tags, "lyrics"))
    owner, pet = names(prompt)
    values = {"owner": called(owner), "pet": called(pet), "owner_full": owner, "pet_full": pet}
    couplets = _Couplets(chance, _verses(), pet_kind(prompt), vibe)
    chorus = chance.choice(_verses()["vibes"][vibe]["choruses"])
    parts, verses = [], 0
    for kind, count in FORMS.get(vibe, _USUAL):
        verses += kind == "Verse"
        lines = chorus if kind == "Chorus" else couplets.lines(kind, verses, count)
        label = f"[Verse {verses}]" if kind == "Verse" else f"[{kind}]"
        parts.append("\n".join([label, *(_filled(line, values, chance) for line in lines[:count])]))
    return "\n\n".join(parts)


class _Couplets:
    """Draws couplets so that none is sung twice."""

    def __init__(self, chance: random.Random, verses: dict[str, Any], kind: str, vibe: str) -> None:
        own = verses["vibes"][vibe]
        self._opening = chance.choice(verses["opening"]["any"])
        self._pet = chance.sample(verses["pets"][kind], len(verses["pets"][kind]))
        self._vibe = chance.sample(own["verses"], len(own["verses"]))
        self._bridge = chance.sample(own["bridges"], len(own["bridges"]))

    def lines(self, kind: str, verse: int, count: int) -> list[str]:
        if kind == "Bridge":
            return [line for _ in range(count // 2) for line in self._bridge.pop()]
        first = self._opening if verse == 1 else self._vibe.pop()
        return [*first, *self._pet.pop()]


def _filled(line: str, values: dict[str, str], chance: random.Random) -> str:
    # One pass: a pet called "{owner}" is sung as such.
    fill = _verses()["fill"]
    return _FIELD.sub(lambda found: values.get(found[1]) or chance.choice(fill[found[1]]), line)


@cache
def _verses() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("verses.toml").read_text(encoding="utf-8"))


def sections(text: str) -> list[Section]:
    """Lyrics as sections; lines before any label are a verse, and a label of another kind sings like one."""
    found: list[Section] = []
    kind, label, lines = "verse", "", list[str]()
    for line in [*map(str.strip, text.splitlines()), "[end]"]:
        heading = _LABEL.match(line)
        if not heading:
            lines += [line] if line else []
            continue
        if lines:
            found.append(Section(kind, label, tuple(lines)))
        kind, label, lines = _section_kind(heading["name"]), line, []
    return found


def _section_kind(name: str) -> str:
    known = ("chorus", "bridge")
    return next((kind for kind in known if kind in name.lower()), "chorus" if "hook" in name.lower() else "verse")
