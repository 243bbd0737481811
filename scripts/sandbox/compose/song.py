"""An order becomes a song: score, voice, band and mix in one go."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scripts.sandbox.compose import band, lyrics, mixing, score, singing, voice
from scripts.sandbox.compose.animals import SOUNDS
from scripts.sandbox.compose.instruments import MELODIC, RATE, STRUCK
from scripts.sandbox.compose.score import Note, Score
from scripts.sandbox.compose.singing import Placed, Source
from scripts.sandbox.compose.styles import MODES, STYLES, Place, Style

Sound = np.ndarray
VOICE_OVER_BAND = 1.0  # dB, in loudness
STEM_LOUDNESS = -20.0  # LUFS, of the band before it is mixed
DUCKING = 2.5  # dB
DOUBLE_LATE = 0.017  # seconds: no two singers begin at once
FADE = 1.6  # seconds, at the very end
PITCH = {"f": 82, "m": 88}  # of the speaking voice, by sex: in the middle of what it sings


@dataclass(frozen=True)
class Order:
    """What a song is made from; `text` are the lyrics with their [Section] labels."""

    prompt: str
    tags: tuple[str, ...]
    vibe: str
    text: str
    instrumental: bool = False


@dataclass(frozen=True)
class Word:
    """Seconds of the song."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Song:
    """`mix` is stereo, shape (2, n), -1 to 1, at 44.1 kHz; `voice` and `band` are what it was mixed from, without the room,
    in the same proportion."""

    mix: Sound
    voice: Sound
    band: Sound
    words: tuple[Word, ...]
    score: Score
    sung: bool


class Stem:
    """What is mixed: `dry`, stereo, and what of it is sent into the room, mono."""

    def __init__(self, count: int) -> None:
        self.dry, self.send = np.zeros((2, count), np.float32), np.zeros(count, np.float32)

    def put(self, line: Sound, place: Place) -> None:
        loud = line * mixing.gain(place.level)
        for channel, share in zip(self.dry, mixing.sides(place.pan), strict=True):
            channel += loud * share
        loud *= np.float32(place.reverb)
        self.send += loud

    def level(self, loudness: float) -> None:
        """Makes it as loud as this, in LUFS."""
        factor = mixing.gain(loudness - mixing.loudness(self.dry))
        self.dry *= factor
        self.send *= factor


def compose(order: Order, with_voice: bool = True) -> Song:
    """The same order gives the same samples. Where there is no voice, an instrument plays the melody."""
    style = STYLES[order.vibe]
    seed = lyrics.seed(order.prompt, list(order.tags), order.text)
    sections = lyrics.sections(order.text)
    singer = _singer(style, order.tags, seed)
    words: dict[str, voice.Spoken] = {}
    if with_voice and not order.instrumental:
        said = _said(order)
        texts = sorted({score.spoken(word) for part in sections for line in part.lines for word in line.split()} - {""})
        words = voice.speak(texts, singer, PITCH[singer[0]], said)
    stresses = {text: [syllable.stressed for syllable in word.syllables] for text, word in words.items()}
    written = score.write(style, sections, seed, singer.startswith("m"), stresses)
    source = Source(words) if words else None
    placed = singing.place(written.words, source) if source else _unsung(written)
    singer_stem, band_stem = Stem(_length(written)), Stem(_length(written))
    _play(band_stem, written, order, placed if not source else [])
    if source:
        _sing(singer_stem, placed, source, written)
    mix = _mixed(written, singer_stem, band_stem, bool(source))
    timing = () if order.instrumental else tuple(Word(it.word.shown, it.start, it.end) for it in placed)
    return Song(mix, singer_stem.dry, band_stem.dry, timing, written, bool(source))


def _singer(style: Style, tags: Sequence[str], seed: int) -> str:
    """A variant of espeak-ng's voices: as the tags wish, else drawn."""
    wanted = "m" if "male vocals" in tags else "f" if "female vocals" in tags else ""
    fitting = [name for name in style.voices if name.startswith(wanted)] or ["m3"]
    return random.Random(f"{seed} singer").choice(fitting)


def _said(order: Order) -> dict[str, str]:
    """How the words of names are read: the order may tell."""
    found: dict[str, str] = {}
    for name, said in lyrics.said(order.prompt).items():
        names, sayings = name.split(), said.lower().split()
        if len(names) == len(sayings):
            found |= {score.spoken(one): score.spoken(other) for one, other in zip(names, sayings, strict=True)}
    return found


def _unsung(written: Score) -> list[Placed]:
    """The words' places where nobody sings them."""
    return [Placed(word, word.notes[0].start, word.notes[-1].end - singing.LEGATO, ()) for word in written.words]


def _length(written: Score) -> int:
    return int(written.seconds * RATE)


def _sing(stem: Stem, placed: list[Placed], source: Source, written: Score) -> None:
    """The singer in the middle; in choruses a double at one side and a second voice below at the other."""
    choir = [it for it in placed if it.word.kind == "chorus"]
    below = singing.pitch(choir, written.seconds, -8, _below(choir, written))
    for words, hertz, place in (
        (placed, singing.pitch(placed, written.seconds), Place(0, 0, 0.16)),
        (choir, singing.pitch(choir, written.seconds, 9), Place(-8, -0.7, 0.3)),
        (choir, below, Place(-7.5, 0.7, 0.3)),
    ):
        line = mixing.highpass(singing.sing(words, source, written.seconds, hertz), 120, source.rate)
        line = mixing.doubled(line, len(stem.send))
        stem.put(np.roll(line, int(DOUBLE_LATE * RATE)) if place.pan > 0 else line, place)


def _below(placed: list[Placed], written: Score) -> list[float]:
    """Semitones to a third or fourth below each note, one that the scale has."""
    found = []
    for it in placed:
        scale = {(it.word.key + step) % 12 for step in MODES[written.style.mode]}
        for note in it.word.notes:
            steps = [step for step in (-3, -4, -5) if (round(note.midi) + step) % 12 in scale]
            found.append(float(steps[0] if steps else -5))
    return found


def _play(stem: Stem, written: Score, order: Order, unsung: list[Placed]) -> None:
    """All instruments, and the tune where nobody sings it."""
    for name, hits in _by_instrument(written, order.vibe).items():
        line = _line(written, name, hits, lyrics.pet_kind(order.prompt), len(stem.send))
        stem.put(line, written.style.places.get(name, Place(-14)))
    tune = [*written.tune, *(Note(note.start, note.end, note.midi) for it in unsung for note in it.word.notes)]
    stem.put(_melody(written.style.lead, tune, len(stem.send)), written.style.places["lead"])


def _by_instrument(written: Score, vibe: str) -> dict[str, list[band.Hit]]:
    found: dict[str, list[band.Hit]] = {}
    for hit in band.accompany(written, vibe):
        found.setdefault(hit.instrument, []).append(hit)
    return found


def _line(written: Score, name: str, hits: list[band.Hit], kind: str, count: int) -> Sound:
    """One instrument's notes; equal ones are computed once."""
    out, made = np.zeros(count, np.float32), dict[tuple[float | None, float], Sound]()
    for hit in hits:
        start = written.time(hit.beat)
        seconds = round(written.time(hit.beat + hit.length) - start, 2)
        key = (hit.midi, seconds if hit.midi is not None else 0.0)
        if key not in made:
            made[key] = MELODIC[name](hit.midi, seconds) if hit.midi is not None else (STRUCK.get(name) or SOUNDS[kind])()
        _add(out, made[key], start, hit.level)
    return out


def _melody(name: str, notes: Sequence[Note], count: int) -> Sound:
    out = np.zeros(count, np.float32)
    for note in notes:
        _add(out, MELODIC[name](note.midi, note.end - note.start), note.start, 1.0)
    return out


def _add(out: Sound, sound: Sound, start: float, level: float) -> None:
    first = max(0, int(start * RATE))
    end = min(len(out), first + len(sound))
    out[first:end] += sound[: end - first] * np.float32(level)


def _mixed(written: Score, singer: Stem, players: Stem, sung: bool) -> Sound:
    """The mix, with a clean end; the stems come to their levels in it."""
    players.level(STEM_LOUDNESS)
    if sung:
        singer.level(STEM_LOUDNESS + VOICE_OVER_BAND)
        mixing.duck(players.dry, singer.dry[0], DUCKING)
    mix = singer.dry + players.dry
    mix += mixing.reverberated(singer.send + players.send, written.style.reverb, 11)
    tail = int(FADE * RATE)
    mix[:, -tail:] *= np.linspace(1, 0, tail, dtype=np.float32) ** 2
    return mixing.mastered(mix, written.style.loudness)
