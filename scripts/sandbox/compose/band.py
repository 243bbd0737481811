"""Who in the band plays what in a bar, by style: patterns of the accompaniment around the singing."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scripts.sandbox.compose.score import Bar, Score
from scripts.sandbox.compose.styles import Chord


@dataclass(frozen=True)
class Hit:
    """One note of one instrument: beats (of the song, or of the bar while it is written), MIDI pitch or None for a drum."""

    instrument: str
    beat: float
    length: float
    midi: float | None
    level: float


Hits = Iterator[Hit]


class Player:
    """A bar as the patterns see it."""

    def __init__(self, score: Score, bar: Bar) -> None:
        self.score, self.bar = score, bar
        self.beats = score.style.beats
        self.key = score.tonic + bar.lift
        self.chance = random.Random(f"{score.seed} bar {bar.beat}")
        self.full = bar.kind == "chorus"
        self.quiet = bar.kind == "intro" or (bar.kind == "verse" and bar.round == 0)
        self.fill = bar.number == bar.count - 1 and bar.kind not in ("outro",)

    def chord(self, beat: float) -> Chord:
        found = self.bar.chords
        return found[min(int(beat / self.beats * len(found)), len(found) - 1)]

    def root(self, beat: float, octave: int = 0, low: int = 31) -> int:
        """The chord's root as a bass note, in the octave that begins at `low`."""
        return low + (self.key + self.chord(beat).root - low) % 12 + 12 * octave

    def notes(self, beat: float, low: int = 55) -> list[int]:
        """The chord's notes, each in the octave from `low` on: the least movement from chord to chord."""
        found = self.chord(beat)
        return sorted({low + (self.key + found.root + note - low) % 12 for note in found.notes})

    def drum(self, name: str, *beats: float, level: float = 1.0) -> Hits:
        for beat in beats:
            yield Hit(name, beat, 0.1, None, level * self.chance.uniform(0.92, 1.0))

    def held(self, name: str, low: int, level: float = 1.0) -> Hits:
        each = self.beats / len(self.bar.chords)
        for at in range(len(self.bar.chords)):
            for midi in self.notes(at * each, low):
                yield Hit(name, at * each, each, midi, level)


def _chill(play: Player) -> Hits:
    for beat, length, level in ((0.0, 1.4, 1.0), (1.5, 0.9, 0.7), (2.5, 1.4, 0.85)):
        for at, midi in enumerate(play.notes(beat, 53)):
            yield Hit("electric", beat + 0.012 * at, length, midi, level * 0.8)
    yield Hit("sub", 0, 1.4, play.root(0), 1.0)
    yield Hit("sub", 1.5, 0.45, play.root(1), 0.8)
    yield Hit("sub", 2.5, 1.2, play.root(2) + play.chance.choice([0, 0, 7]), 0.9)
    yield from play.drum("vinyl", 0, 1.4, level=0.6)
    if play.bar.kind != "intro":
        yield from play.drum("kick", 0, 1.5 if play.bar.number % 2 else 2.5)
        yield from play.drum("snare", 1, 3, level=0.9)
        yield from play.drum("hat", *[at / 2 for at in range(8)], level=0.8)
    if play.full or play.bar.kind == "bridge":
        yield from play.held("pad", 60)
        yield from play.drum("rim", 3.5, level=0.6)


def _energetic(play: Player) -> Hits:
    short = 0.45
    for at in range(8):
        accent = 1.0 if at % 2 == 0 else 0.8
        yield Hit("bass", at / 2, short, play.root(at / 2), accent)
        if not play.quiet or play.bar.kind == "intro":
            for name in ("guitar", "guitar2"):
                yield Hit(name, at / 2, 0.48 if play.full else 0.3, play.root(at / 2, 1), accent)
    if play.quiet and play.bar.kind == "verse":
        yield from (Hit("guitar", 0, 3.8, play.root(0, 1), 0.7), Hit("guitar2", 0, 3.8, play.root(0, 1), 0.7))
    if play.full:
        yield from play.held("pad", 60)
        yield from play.drum("open", 0.5, 1.5, 2.5, 3.5)
    yield from play.drum("kick", 0, 2, *((1.5, 2.5) if play.full else (2.5,)))
    yield from play.drum("snare", 1, 3)
    yield from play.drum("hat", *[at / 2 for at in range(8)])
    if play.fill:
        yield from play.drum("snare", 2.5, 2.75, 3.25, 3.5, 3.75, level=0.8)
        yield from play.drum("tom", 3.0, 3.5)
    if play.bar.number == 0:
        yield from play.drum("crash", 0)


def _romantic(play: Player) -> Hits:
    third = 1 / 3
    for half in range(2):
        notes = play.notes(half, 55)
        rising = [notes[0] - 12, *notes, *notes[::-1]][:6] if len(notes) < 4 else [notes[0] - 12, *notes[:4], notes[2]]
        order = [0, 2, 3, 1, 3, 2] if play.full else [0, 1, 2, 3, 2, 1]
        for at in range(3):
            yield Hit("piano", half + at * third, 0.9, rising[order[half * 3 + at] % len(rising)], 0.9 if at == 0 else 0.62)
        yield Hit("piano", half, 1.0, play.root(half, 1, 36), 0.7)
    yield Hit("bass", 0, 1.9, play.root(0), 0.9)
    if not play.quiet:
        yield from play.held("pad", 58)
        yield from play.drum("kick", 0)
        yield from play.drum("rim", 1)
        yield from play.drum("brush", *[at * third for at in range(6)], level=0.8)
    if play.full and play.bar.number % 2 == 1:
        for at, midi in enumerate(reversed(play.notes(1, 67))):
            yield Hit("bell", 1 + at * third, 0.8, midi, 0.6)


def _party(play: Player) -> Hits:
    yield from _disco(play)
    for beat in (0.5, 0.75, 1.25, 1.75, 2.5, 2.75, 3.25) if not play.quiet else (0.5, 1.75, 2.5):
        for midi in play.notes(beat, 60)[-3:]:
            yield Hit("wah", beat, 0.18, midi, play.chance.uniform(0.7, 1.0))
    if play.full:
        yield from play.held("pad", 64)
        for beat in (1.5, 3.25) if play.bar.number % 2 else ():
            for midi in play.notes(beat, 62):
                yield Hit("brass", beat, 0.3, midi, 0.9)


def _disco(play: Player) -> Hits:
    """Four on the floor and a bass in octaves."""
    yield from play.drum("kick", 0, 1, 2, 3)
    for at in range(4):
        yield Hit("slap", at, 0.35, play.root(at), 1.0)
        yield Hit("slap", at + 0.5, 0.3, play.root(at, 1), 0.85)
    if play.bar.number % 2:
        yield Hit("slap", 3.75, 0.2, play.root(3) + 10, 0.8)
    if play.bar.kind != "intro" or play.bar.number > 1:
        yield from play.drum("clap", 1, 3)
        yield from play.drum("open", 0.5, 1.5, 2.5, 3.5)
        yield from play.drum("hat", *[at / 4 for at in range(16)], level=0.7)
    if play.fill:
        yield from play.drum("tom", 3, 3.25, 3.5, 3.75)
    if play.bar.number == 0:
        yield from play.drum("crash", 0)


def _relaxing(play: Player) -> Hits:
    notes = play.notes(0, 55)
    picked = [notes[0], notes[1], notes[2], notes[-1] if len(notes) > 3 else notes[0] + 12, notes[2], notes[1]]
    for at, midi in enumerate(picked):
        yield Hit("nylon", at / 2, 1.2, midi, 0.9 if at == 0 else 0.6)
    yield Hit("sub", 0, 2.8, play.root(0, 0, 36), 0.9)
    yield from play.held("pad", 57)
    if play.full:
        yield from play.drum("shaker", 1, 2)
        for at, midi in enumerate(play.notes(0, 72)[:3]):
            yield Hit("bell", at + 0.5, 1.0, midi, 0.45)


def _other(play: Player) -> Hits:
    for beat, level in ((0, 1.0), (1, 0.7), (1.5, 0.75), (2.5, 0.8), (3, 0.7), (3.5, 0.75)):
        up = beat % 1 != 0
        notes = play.notes(beat, 62)
        for at, midi in enumerate(reversed(notes) if up else notes):
            yield Hit("ukulele", beat + 0.014 * at, 0.5, midi, level)
    yield Hit("bass", 0, 0.9, play.root(0), 1.0)
    yield Hit("bass", 2, 0.9, play.root(2) + (-5 if play.root(2) > 36 else 7), 0.9)
    if play.bar.kind != "intro":
        yield from play.drum("kick", 0, 2)
        yield from play.drum("shaker", *[at / 2 for at in range(8)])
        yield from play.drum("rim", 1, 3)
    if play.full or play.bar.kind == "outro":
        yield from play.drum("clap", 1, 3)
        for at, midi in enumerate(play.notes(0, 67)[:3]):
            yield Hit("bell", at + 0.5, 0.5, midi, 0.6)
    if play.fill:
        yield from play.drum("tom", 3, 3.5)


PATTERNS: dict[str, Callable[[Player], Hits]] = {
    "chill": _chill, "energetic": _energetic, "romantic": _romantic, "party": _party, "relaxing": _relaxing, "other": _other,
}  # fmt: skip
_DRUM_NAMES = frozenset({"kick", "snare", "hat", "open", "shaker", "rim", "brush", "tom", "clap", "wah", "slap", "ukulele"})


def accompany(score: Score, vibe: str) -> list[Hit]:
    """All notes of the band; the last bar is one chord that fades, with the pet's own word after it."""
    found: list[Hit] = []
    for bar in score.bars[:-1]:
        player = Player(score, bar)
        found += [Hit(hit.instrument, bar.beat + hit.beat, hit.length, hit.midi, hit.level) for hit in PATTERNS[vibe](player)]
        if bar.number == 0 and (bar.kind == "chorus" or (bar.kind == "verse" and bar.round == 1)):
            found.append(Hit("pet", bar.beat - 1, 1, None, 1.0))
    return found + _ending(score, vibe)


def _ending(score: Score, vibe: str) -> list[Hit]:
    """Whoever began the last full bar holds its first notes through the last one."""
    bar = score.bars[-1]
    player, found = Player(score, bar), list[Hit]()
    for hit in PATTERNS[vibe](player):
        if hit.beat < 0.1 and hit.instrument != "vinyl":
            length = hit.length if hit.instrument in _DRUM_NAMES else player.beats
            found.append(Hit(hit.instrument, bar.beat + hit.beat, length, hit.midi, hit.level))
    return [*found, Hit("pet", bar.beat + player.beats * 0.75, 1, None, 1.0)]
