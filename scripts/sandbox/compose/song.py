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
DUCKING = 2.5  # dB
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
    """`mix` is stereo, shape (2, n), -1 to 1, at 44.1 kHz; `voice` and `band` are what it was mixed from, each as loud as in
    it but for ducking and limiter."""

    mix: Sound
    voice: Sound
    band: Sound
    words: tuple[Word, ...]
    score: Score
    sung: bool


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
    singer_stem = _voice(placed, source, written, seed) if source else np.zeros((2, _length(written)), np.float32)
    band_stem = _band(written, order, placed if not source else [])
    mix, singer_stem, band_stem = _mixed(written, singer_stem, band_stem, bool(source))
    timing = () if order.instrumental else tuple(Word(it.word.shown, it.start, it.end) for it in placed)
    return Song(mix, singer_stem, band_stem, timing, written, bool(source))


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


def _voice(placed: list[Placed], source: Source, written: Score, seed: int) -> Sound:
    """The singer in the middle; in choruses a double at each side and a second voice below, all with a room."""
    count = _length(written)
    lead = singing.sing(placed, source, written.seconds, singing.pitch(placed, written.seconds))
    choir = [it for it in placed if it.word.kind == "chorus"]
    sides = [
        singing.sing(choir, source, written.seconds, singing.pitch(choir, written.seconds, cents, _below(choir, written) if low else None))
        for cents, low in ((9, False), (-8, True))
    ]
    clean = mixing.highpass(lead, 110, source.rate)
    left, right = (mixing.doubled(mixing.highpass(side, 150, source.rate), count) for side in sides)
    middle = mixing.doubled(clean, count)
    delay = int(0.017 * RATE)
    stereo = mixing.panned(middle, 0) + 0.4 * mixing.panned(left, -0.7) + 0.42 * np.roll(mixing.panned(right, 0.7), delay, axis=1)
    send = 0.16 * middle + 0.12 * (left + right)
    return (stereo + mixing.reverberated(send.astype(np.float32), written.style.reverb, 11)).astype(np.float32)


def _below(placed: list[Placed], written: Score) -> list[float]:
    """Semitones to a third or fourth below each note, one that the scale has."""
    found = []
    for it in placed:
        scale = {(it.word.key + step) % 12 for step in MODES[written.style.mode]}
        for note in it.word.notes:
            steps = [step for step in (-3, -4, -5) if (round(note.midi) + step) % 12 in scale]
            found.append(float(steps[0] if steps else -5))
    return found


def _band(written: Score, order: Order, unsung: list[Placed]) -> Sound:
    """All instruments, stereo, with their room."""
    count = _length(written)
    dry, send = np.zeros((2, count), np.float32), np.zeros(count, np.float32)
    for name, hits in _by_instrument(written, order.vibe).items():
        place = written.style.places.get(name, Place(-14))
        line = _line(written, name, hits, lyrics.pet_kind(order.prompt), count)
        _put(dry, send, line, place)
    tune = [*written.tune, *(Note(note.start, note.end, note.midi) for it in unsung for note in it.word.notes)]
    _put(dry, send, _melody(written.style.lead, tune, count), written.style.places["lead"])
    return (dry + mixing.reverberated(send, written.style.reverb, 12)).astype(np.float32)


def _by_instrument(written: Score, vibe: str) -> dict[str, list[band.Hit]]:
    found: dict[str, list[band.Hit]] = {}
    for hit in band.accompany(written, vibe):
        found.setdefault(hit.instrument, []).append(hit)
    return found


def _put(dry: Sound, send: Sound, line: Sound, place: Place) -> None:
    loud = line * mixing.gain(place.level)
    for channel, share in zip(dry, mixing.panned(np.ones(1, np.float32), place.pan)[:, 0], strict=True):
        channel += loud * share
    send += loud * np.float32(place.reverb)


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


def _mixed(written: Score, singer: Sound, players: Sound, sung: bool) -> tuple[Sound, Sound, Sound]:
    """The mix with a clean end, and the stems at their levels in it."""
    if sung:
        singer = singer * mixing.gain(mixing.loudness(players) + VOICE_OVER_BAND - mixing.loudness(singer))
        level = -20 - mixing.loudness(players)  # for the ducking's threshold
        singer, players = singer * mixing.gain(level), players * mixing.gain(level)
        players = mixing.ducked(players, singer.mean(axis=0), DUCKING)
    fade = np.ones(players.shape[1], np.float32)
    tail = int(1.6 * RATE)
    fade[-tail:] = np.linspace(1, 0, tail, dtype=np.float32) ** 2
    return mixing.mastered((singer + players) * fade, written.style.loudness), singer, players
