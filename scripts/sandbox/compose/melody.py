"""Which slot and which note every syllable of a line gets."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from scripts.sandbox.compose.styles import MODES, Chord, Style

# Said lightly: they do not want a strong beat.
LIGHT = frozenset(
    "a an and are as at be but by for from had has have he her his i in into is it its me my of on or out she so that the"
    " their them then they this till to up was we were what when who will with you your".split()
)
REST = 2  # slots at a line's end, to breathe
LONGEST = 4  # slots that a syllable within a line is held


@dataclass(frozen=True)
class Sung:
    """A syllable to be set: how much it wants a strong beat (0-1), and whether it begins a word."""

    weight: float
    begins: bool


@dataclass(frozen=True)
class Set:
    """A syllable that is set: its slot in the line, how many slots it is held, its scale degree (0 is the tonic)."""

    slot: float
    length: float
    degree: int


def weights(word: str, stresses: Sequence[bool]) -> list[Sung]:
    """A word's syllables."""
    light = word.lower().strip(".,!?;:'\"") in LIGHT
    if len(stresses) == 1:
        return [Sung(0.25 if light else 0.9, True)]
    return [Sung(1.0 if stressed else 0.3, at == 0) for at, stressed in enumerate(stresses)]


def strengths(style: Style) -> list[float]:
    """How strong each slot of a line is: bars, middles of bars, beats, and what lies between."""
    bar = style.beats * style.slots
    found = []
    for slot in range(style.line_slots):
        at = slot % bar
        if at == 0:
            found.append(1.0)
        elif style.beats % 2 == 0 and at == bar // 2:
            found.append(0.85)
        else:
            found.append(0.65 if at % style.slots == 0 else style.syncopation)
    return found


def rhythm(syllables: Sequence[Sung], style: Style, chance: random.Random, stretch: int = 1) -> list[tuple[float, float]]:
    """(slot, length) of each syllable, over `stretch` lines' time: strong ones on strong slots, evenly, words together.

    Where there are more syllables than slots, they stand on halves and quarters of slots.
    """
    per_slot = 1
    room = style.line_slots * stretch - REST
    while len(syllables) > room * per_slot:
        per_slot *= 2
    strong = _fine(strengths(style) * stretch, per_slot)[: room * per_slot]
    mood = [0.25 * chance.random() for _ in strong]
    places = _best(tuple(syllables), tuple(weight + extra for weight, extra in zip(strong, mood, strict=True)))
    ends = [*places[1:], len(strong) + per_slot * REST // 2]
    longest = LONGEST * per_slot
    return [
        (at / per_slot, min(end - at, longest if end in places else 2 * longest) / per_slot)
        for at, end in zip(places, ends, strict=True)
    ]


def _fine(strong: list[float], per_slot: int) -> list[float]:
    return [weight if part == 0 else 0.1 for weight in strong for part in range(per_slot)]


@lru_cache(maxsize=256)
def _best(syllables: tuple[Sung, ...], strong: tuple[float, ...]) -> list[int]:
    """Rising places with the best sum: best[at] after each syllable is the sum when it stands at `at`."""
    count, room = len(syllables), len(strong)
    even = room / max(1, count)
    best = [_fit(syllables[0], strong[at]) - 0.25 * at if at + count <= room else -1e9 for at in range(room)]
    came: list[list[int]] = []
    for syllable in syllables[1:]:
        after, origin = [-1e9] * room, [0] * room
        for at in range(1, room):
            for before in range(max(0, at - 8), at):
                score = best[before] + _gap(at - before, even, syllable.begins)
                if score > after[at]:
                    after[at], origin[at] = score, before
            after[at] += _fit(syllable, strong[at])
        best = after
        came.append(origin)
    at = max(range(room), key=best.__getitem__)
    places = [at]
    for origin in reversed(came):
        places.append(origin[places[-1]])
    return places[::-1]


def _fit(syllable: Sung, strength: float) -> float:
    return 2.2 * strength * (syllable.weight - 0.3)


def _gap(gap: int, even: float, begins: bool) -> float:
    """A cost: of a hole or a crowd, the more so within a word."""
    return -(0.12 if begins else 0.3) * (gap - min(even, 3.0)) ** 2


class Contours:
    """The tunes of a song: for each kind of section four lines that answer each other (A B A C), by slot.

    Lines of different lengths take their notes from the same contour, so that a tune is known again.
    """

    RANGES = {"verse": (-2, 4), "chorus": (1, 7), "bridge": (0, 6)}
    ENDS = {"verse": (1, 4, 1, 0), "chorus": (4, 2, 4, 0), "bridge": (2, 4, 5, 4)}

    def __init__(self, style: Style, chance: random.Random) -> None:
        self._style = style
        self._lines = {kind: self._made(kind, chance) for kind in self.RANGES}

    def _made(self, kind: str, chance: random.Random) -> list[list[int]]:
        first, second = self._walk(kind, chance), self._walk(kind, chance)
        last = first[: len(first) // 2] + second[len(second) // 2 :]
        return [first, second, first, last]

    def _walk(self, kind: str, chance: random.Random) -> list[int]:
        """From one anchor to the next, two to a bar, in steps."""
        low, high = self.RANGES[kind]
        slots, step = self._style.line_slots, max(2, self._style.line_slots // 4)
        at = chance.randint(max(low, 0), high - 1)
        anchors = [at]
        for _ in range(slots // step + 1):
            move = chance.choice([-3, -2, -1, 1, 2, 3])
            at = at + move if low <= at + move <= high else at - move
            anchors.append(min(high, max(low, at)))
        walked = []
        for slot in range(slots):
            one, two = anchors[slot // step], anchors[slot // step + 1]
            walked.append(round(one + (two - one) * (slot % step) / step) + (chance.random() < 0.12))
        return [min(high, degree) for degree in walked]

    def degree(self, kind: str, line: int, slot: float, chord: Chord, strong: bool, last: bool) -> int:
        """The note of a syllable; on a strong beat, and at the end, one that the chord has."""
        lines = self._lines[kind]
        wanted = lines[line % 4][int(slot) % self._style.line_slots]
        if last:
            low = self.ENDS[kind][line % 4]
            wanted = low + 7 if low + 7 <= self.RANGES[kind][1] and wanted > 4 else low
        return nearest(wanted, chord, self._style.mode) if strong or last else wanted


def nearest(degree: int, chord: Chord, mode: str) -> int:
    """The degree next to this one that belongs to the chord."""
    scale, classes = MODES[mode], chord.classes()
    near = sorted(range(degree - 3, degree + 4), key=lambda other: (abs(other - degree), other))
    return next((other for other in near if scale[other % 7] in classes), degree)


def semitones(degree: int, mode: str) -> int:
    """Above the tonic, of a degree that may lie in any octave."""
    return MODES[mode][degree % 7] + 12 * (degree // 7)
