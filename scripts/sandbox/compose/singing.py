"""A singing voice by moving the pitch periods of a speaking one (TD-PSOLA).

The words come spoken on one pitch (voice.py). Each syllable's vowel is laid from its note's beginning to its end and its
consonants keep their own length before and after; in voiced sound the periods are then set at the melody's distances,
which changes the pitch and leaves the vowels' colour. Method: Moulines and Charpentier, 1990.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scripts.sandbox.compose.score import Note, SungWord
from scripts.sandbox.compose.voice import Spoken, Syllable

STEP = 1000  # pitch is drawn at this many points a second
SHORTEST_VOWEL = 0.04  # seconds
LEGATO = 0.03  # seconds between a word's end and the next note
BREATHLESS = 0.22  # seconds of coda or onset at most


@dataclass(frozen=True)
class Stretch:
    """A span of the song that a span of the source is laid on; source in samples, song in seconds."""

    start: float
    end: float
    source: float
    source_end: float


@dataclass(frozen=True)
class Placed:
    """A word where it is heard, in seconds."""

    word: SungWord
    start: float
    end: float
    stretches: tuple[Stretch, ...]


class Source:
    """All words of a song as one sound, with the places of its pitch periods."""

    def __init__(self, words: dict[str, Spoken]) -> None:
        self.rate = next(iter(words.values())).rate if words else 22050
        self.words = words
        self.starts: dict[str, int] = {}
        voiced, sounds, at = list[np.ndarray](), list[np.ndarray](), 0
        for text, word in words.items():
            self.starts[text] = at
            mask = np.zeros(len(word.sound), bool)
            for phone in word.phones:
                mask[phone.start : phone.end] = phone.voiced
            sounds.append(_leveled(word))
            voiced.append(mask)
            at += len(word.sound)
        self.sound = np.concatenate([*sounds, np.zeros(self.rate, np.float32)])
        self.voiced = np.concatenate([*voiced, np.zeros(self.rate, bool)])
        self.period = _period(self.sound, self.voiced, self.rate)
        self.marks = _marks(self.sound, self.voiced, self.period)
        self.grains = _grains(self.sound, self.marks, self.period)


def _leveled(word: Spoken) -> np.ndarray:
    """The word with its vowels as loud as every other's: some phonemes come much louder."""
    vowels = [word.sound[phone.start : phone.end] for phone in word.phones if phone.vowel]
    power = float(np.sqrt(np.mean(np.concatenate(vowels) ** 2))) if vowels else 0.0
    return (word.sound * np.float32(0.14 / max(power, 0.02))).astype(np.float32)


def _period(sound: np.ndarray, voiced: np.ndarray, rate: int) -> int:
    """Samples of the one pitch that all is spoken on, by autocorrelation."""
    some = sound[voiced][: 1 << 18].astype(np.float64)
    if len(some) < 4096:
        return rate // 200
    power = np.abs(np.fft.rfft(some, 2 * len(some))) ** 2
    likeness = np.fft.irfft(power)
    low, high = rate // 400, rate // 75
    return int(low + np.argmax(likeness[low:high]))


def _marks(sound: np.ndarray, voiced: np.ndarray, period: int) -> np.ndarray:
    """One place per period: at the peak of its lowest tone in voiced sound, at even distances elsewhere.

    The whole sound's peak would jump between those of two overtones, which is heard as roughness.
    """
    width = np.hanning(period // 2 * 2 + 1)
    low = np.convolve(np.convolve(sound, width / width.sum(), "same"), width / width.sum(), "same")
    reach, marks, at = period // 5, list[int](), period
    while at < len(sound) - 2 * period:
        if voiced[at]:
            at = at - reach + int(low[at - reach : at + reach + 1].argmax())
        marks.append(at)
        at += period
    return np.array(marks or [0])


def _grains(sound: np.ndarray, marks: np.ndarray, period: int) -> np.ndarray:
    """Two periods around each mark, shape (marks, 2 * period), windowed so that they add up to what they were."""
    window = np.hanning(2 * period + 1)[:-1].astype(np.float32)
    whole = np.lib.stride_tricks.sliding_window_view(np.pad(sound, period), 2 * period)
    return whole[marks] * window


def place(words: Sequence[SungWord], source: Source) -> list[Placed]:
    """Where each word is heard. A word that was not spoken has its notes' times and no sound."""
    found = []
    free = 0.0  # until when the voice is busy
    for word in words:
        spoken = source.words.get(word.spoken)
        if spoken is None or len(spoken.syllables) != len(word.notes):
            found.append(Placed(word, max(word.notes[0].start, free), max(word.notes[-1].end - LEGATO, free + 0.03), ()))
        else:
            stretches = _stretches(word.notes, spoken.syllables, source.starts[word.spoken], source.rate, free)
            found.append(Placed(word, stretches[0].start, stretches[-1].end, tuple(stretches)))
        free = found[-1].end
    return found


def _stretches(
    notes: Sequence[Note], syllables: Sequence[Syllable], offset: int, rate: int, free: float
) -> list[Stretch]:
    """Onset, vowel and coda of every syllable: the vowel begins with the note."""
    found: list[Stretch] = []
    for at, (note, syllable) in enumerate(zip(notes, syllables, strict=True)):
        onset = min((syllable.vowel - syllable.start) / rate, BREATHLESS)
        begin = max(note.start - onset, found[-1].end if found else free)
        vowel = max(note.start, begin + min(onset, 0.05) * 0.8)
        if at + 1 < len(notes):
            after = syllables[at + 1]
            end = notes[at + 1].start - min((after.vowel - after.start) / rate, BREATHLESS, 0.4 * (note.end - note.start))
        else:
            end = note.end - LEGATO
        end = max(end, vowel + SHORTEST_VOWEL)
        coda = max(vowel + SHORTEST_VOWEL * 0.6, end - min((syllable.end - syllable.coda) / rate, BREATHLESS))
        edges = (begin, vowel, coda, max(end, coda))
        places = (syllable.start, syllable.vowel, syllable.coda, syllable.end)
        for part in range(3):
            if edges[part + 1] > edges[part] and places[part + 1] > places[part]:
                found.append(Stretch(edges[part], edges[part + 1], places[part] + offset, places[part + 1] + offset))
    return found


def pitch(words: Sequence[Placed], seconds: float, cents: float = 0.0, up: Sequence[float] | None = None) -> np.ndarray:
    """Hz at every 1/STEP s: the notes, glided into, long ones with a growing vibrato; `up` are semitones per note."""
    line = np.zeros(int(seconds * STEP) + 1)
    notes = [note for placed in words for note in placed.word.notes]
    for at, note in enumerate(notes):
        start = int(note.start * STEP) - (60 if at else int(note.start * STEP))
        line[max(0, start) :] = note.midi + (up[at] if up else 0.0)
    line = np.convolve(np.pad(line, 30, mode="edge"), np.hanning(61) / np.hanning(61).sum(), "valid")
    for note in notes:
        first, last = int(note.start * STEP), min(int(note.end * STEP), len(line))
        since = np.arange(max(0, last - first)) / STEP
        line[first:last] += 0.35 * np.clip((since - 0.22) / 0.4, 0, 1) * np.sin(2 * np.pi * 5.4 * since)
    return 440.0 * 2.0 ** ((line + cents / 100 - 69) / 12)


def sing(words: Sequence[Placed], source: Source, seconds: float, hertz: np.ndarray) -> np.ndarray:
    """The voice alone, mono at the source's rate, float32."""
    rate, out = source.rate, np.zeros(int(seconds * source.rate) + 4 * source.period, np.float32)
    stretches = [stretch for placed in words for stretch in placed.stretches]
    if not stretches:
        return out
    times, places = _pulses(stretches, source, hertz)
    half = source.period
    targets = (times * rate).astype(int)
    inside = (targets >= half) & (targets < len(out) - half)
    targets, places = targets[inside], places[inside]
    spacing = np.diff(targets, append=targets[-1:] + half)
    level = np.clip(spacing / half, 0.35, 1.3) ** 0.8
    grains = _mixed(source, places) * level[:, None].astype(np.float32)
    np.add.at(out, targets[:, None] + np.arange(-half, half), grains)
    return out


def _mixed(source: Source, places: np.ndarray) -> np.ndarray:
    """The grain at each place, shape (places, 2 * period).

    Between two marks of voiced sound the grains of both are mixed, so that a vowel that is drawn out goes smoothly from one
    to the next; noise is taken as it is.
    """
    marks = source.marks
    after = np.clip(np.searchsorted(marks, places), 1, len(marks) - 1)
    share = np.clip((places - marks[after - 1]) / (marks[after] - marks[after - 1]), 0, 1)
    share = np.where(source.voiced[places.astype(int)], share, np.round(share)).astype(np.float32)[:, None]
    return source.grains[after - 1] * (1 - share) + source.grains[after] * share


def _pulses(stretches: Sequence[Stretch], source: Source, hertz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """When a period is set, and which place of the source it is taken from."""
    times, places = [], []
    even = source.period / source.rate
    at = stretches[0].start
    for stretch in stretches:
        at = max(at, stretch.start)
        speed = (stretch.source_end - stretch.source) / (stretch.end - stretch.start)
        while at < stretch.end:
            place = stretch.source + (at - stretch.start) * speed
            times.append(at)
            places.append(place)
            at += 1 / hertz[min(int(at * STEP), len(hertz) - 1)] if source.voiced[int(place)] else even
    return np.array(times), np.array(places)


