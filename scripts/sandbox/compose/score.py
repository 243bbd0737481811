"""Lyrics and a style become a score: bars with their chords, and every syllable's note, all in seconds."""

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from scripts.sandbox.compose import melody
from scripts.sandbox.compose.lyrics import Section
from scripts.sandbox.compose.melody import Contours, Sung
from scripts.sandbox.compose.styles import Chord, Style, chords

LEAD_IN = 0.08  # seconds of silence before the first note
TAIL = 2.6  # seconds for the last one to fade
SHORTEST, LONGEST = 95.0, 126.0  # seconds; words that were ordered may take more
HARD_LIMIT = 240.0
FLUENT = 7.5  # syllables a second; above that a line takes two lines' time
MALE_DOWN = 12  # semitones that men sing below women
_VOWELS = re.compile(r"[aeiouyàáâäæãåāèéêëēìíîïīòóôöœõøōùúûüūýÿ]+", re.IGNORECASE)


@dataclass(frozen=True)
class Note:
    """MIDI pitch and seconds of the song."""

    start: float
    end: float
    midi: float


@dataclass(frozen=True)
class SungWord:
    """A word as the alignment tells it (label and line break with it), as the voice reads it, and its syllables' notes."""

    shown: str
    spoken: str
    kind: str
    key: int  # MIDI note of the tonic: choruses may be lifted
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Bar:
    """One bar of a part of the song; `beat` counts from the song's first one, `lift` is in semitones."""

    beat: int
    kind: str
    number: int  # in its part
    count: int  # bars of the part
    chords: tuple[Chord, ...]
    lift: int
    round: int  # how often a part of this kind has come before
    final: bool  # of the last part of its kind


@dataclass
class Score:
    style: Style
    bpm: float
    tonic: int  # MIDI note of the melody's degree 0
    seed: int
    bars: list[Bar] = field(default_factory=list)
    words: list[SungWord] = field(default_factory=list)
    tune: list[Note] = field(default_factory=list)  # the hook, where nobody sings

    def time(self, beat: float) -> float:
        """Seconds of a moment counted in beats, swing included."""
        whole, part = divmod(beat, 1.0)
        swing = self.style.swing
        if self.style.slots == 2:
            part = part * 2 * swing if part < 0.5 else swing + (part - 0.5) * 2 * (1 - swing)
        return LEAD_IN + (whole + part) * 60 / self.bpm

    @property
    def music_seconds(self) -> float:
        return self.time(self.bars[-1].beat + self.style.beats)

    @property
    def seconds(self) -> float:
        return self.music_seconds + TAIL


def syllables(text: str, stresses: Mapping[str, Sequence[bool]]) -> Sequence[bool]:
    """The stresses of a word's syllables as the voice has them; guessed by its letters where there is none."""
    if text in stresses:
        return stresses[text]
    count = len(_VOWELS.findall(text)) or math.ceil(len(text) / 2)
    return [at == 0 for at in range(max(1, min(count, 12)))]


def spoken(word: str) -> str:
    """What of a word is read out: no quotes, commas and brackets, which espeak-ng would name or take for commands."""
    return re.sub(r"[^\w'’.\-&+]", "", word).strip(".-'’")[:40]


class _Writer:
    """Lays line after line, part after part."""

    def __init__(self, score: Score, male: bool, stresses: Mapping[str, Sequence[bool]], fluent: float) -> None:
        self.score, self._stresses, self._fluent = score, stresses, fluent
        self._down = MALE_DOWN if male else 0
        self._contours = Contours(score.style, random.Random(score.seed))
        self._beat = 0
        self._rounds: dict[str, int] = {}

    def part(self, kind: str, lines: int, stretches: Sequence[int] = (), lift: int = 0, final: bool = False) -> list[Bar]:
        """Bars for these lines; the chords go round by themselves."""
        style = self.score.style
        progression = {"verse": style.verse, "bridge": style.bridge, "intro": style.verse}.get(kind, style.chorus)
        found = chords(progression)
        count = 2 * (sum(stretches) if stretches else lines)
        made = [
            Bar(self._beat + at * style.beats, kind, at, count, found[at % len(found)], lift, self._rounds.get(kind, 0), final)
            for at in range(count)
        ]
        if kind == "outro":
            home = chords("i7" if style.mode == "dorian" else "I")[0]
            made[-1] = replace(made[-1], chords=home, final=True)
        self._rounds[kind] = self._rounds.get(kind, 0) + 1
        self._beat += count * style.beats
        self.score.bars += made
        return made

    def sing(self, section: Section, lift: int, final: bool) -> None:
        lines = [[(word, spoken(word)) for word in line.split()] for line in section.lines]
        stretches = [self._stretch([bare for _word, bare in line]) for line in lines]
        bars = self.part(section.kind, len(lines), stretches, lift, final)
        label, at = section.label, 0
        for number, (line, stretch) in enumerate(zip(lines, stretches, strict=True)):
            self._line(line, number, bars[at : at + 2 * stretch], section.kind, label)
            label, at = "", at + 2 * stretch

    def _stretch(self, words: Sequence[str]) -> int:
        style = self.score.style
        count = sum(len(syllables(word, self._stresses)) for word in words)
        seconds = 60 / self.score.bpm * style.line_beats * (1 - melody.REST / style.line_slots)
        return max(1, math.ceil(count / (seconds * self._fluent)))

    def _line(self, words: list[tuple[str, str]], number: int, bars: list[Bar], kind: str, label: str) -> None:
        """Sets one line over its bars; lines with the same words have the same rhythm."""
        units: list[Sung] = []
        for _word, bare in words:
            units += melody.weights(bare, syllables(bare, self._stresses))
        chance = random.Random(f"{self.score.seed}{kind}{number % 2}")
        placed = melody.rhythm(units, self.score.style, chance, len(bars) // 2)
        notes = [self._note(slot, length, at == len(placed) - 1, number, bars) for at, (slot, length) in enumerate(placed)]
        at, key = 0, self.score.tonic + bars[0].lift
        for place, (word, bare) in enumerate(words):
            count = len(syllables(bare, self._stresses))
            shown = (f"{label}\n" if label and place == 0 else "") + word + ("\n" if place == len(words) - 1 else "")
            self.score.words.append(SungWord(shown, bare, kind, key, tuple(notes[at : at + count])))
            at += count

    def _note(self, slot: float, length: float, last: bool, line: int, bars: list[Bar]) -> Note:
        style, bar = self.score.style, bars[min(int(slot) // (self.score.style.beats * self.score.style.slots), len(bars) - 1)]
        strong = slot % style.slots == 0
        kind = bar.kind if bar.kind in Contours.RANGES else "chorus"
        degree = self._contours.degree(kind, line, slot, bar.chords[0], strong, last)
        start = bars[0].beat + slot / style.slots
        midi = self.score.tonic - self._down + bar.lift + melody.semitones(degree, style.mode)
        return Note(self.score.time(start), self.score.time(start + length / style.slots), midi)

    def play(self, kind: str, lines: int, lift: int = 0, final: bool = False) -> None:
        """The hook without words: as many syllables as a line has beats and a half, in the chorus's rhythm."""
        bars = self.part(kind, lines, lift=lift, final=final)
        count = self.score.style.line_beats
        units = [Sung(0.9 if at % 2 == 0 else 0.3, at % 2 == 0) for at in range(count)]
        for number in range(lines):
            chance = random.Random(f"{self.score.seed}hook{number % 2}")
            placed = melody.rhythm(units, self.score.style, chance)
            under = bars[2 * number : 2 * number + 2]
            notes = [self._note(slot, length, at == count - 1, number, under) for at, (slot, length) in enumerate(placed)]
            self.score.tune += [Note(note.start, note.end, note.midi + self._down) for note in notes]


def write(
    style: Style, sections: Sequence[Section], seed: int, male: bool, stresses: Mapping[str, Sequence[bool]]
) -> Score:
    """The score of a song of 90 to 130 seconds, as long as its words allow. Raises ValueError when there are none."""
    if not sections:
        raise ValueError("there is nothing to sing")
    fluent = FLUENT
    while True:
        score = _written(style, sections, seed, male, stresses, fluent)
        if score.seconds <= LONGEST or fluent > 2 * FLUENT:
            return score
        fluent *= 1.3  # long names: quicker words rather than a longer song


def _written(
    style: Style, sections: Sequence[Section], seed: int, male: bool, stresses: Mapping[str, Sequence[bool]], fluent: float
) -> Score:
    chance = random.Random(seed)
    score = Score(style, style.bpm * chance.uniform(0.985, 1.015), chance.choice(style.tonics), seed)
    writer = _Writer(score, male, stresses, fluent)
    writer.play("intro", style.intro)
    lifted = max((at for at, section in enumerate(sections) if section.kind == "chorus"), default=-1)
    last = {section.kind: at for at, section in enumerate(sections)}
    for at, section in enumerate(sections):
        if score.bars and score.seconds > HARD_LIMIT:
            break
        lift = style.lift if at >= lifted > 0 and len(sections) > 3 else 0
        writer.sing(section, lift, last[section.kind] == at)
    lines, left = style.outro, SHORTEST - score.seconds
    lines = max(lines, math.ceil(left / (60 / score.bpm * style.line_beats)))
    writer.play("outro", lines, score.bars[-1].lift, True)
    return score
