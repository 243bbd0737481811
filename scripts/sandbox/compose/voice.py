"""Words as somebody speaks them on one pitch: samples, and where each syllable's consonants and vowel lie in them."""

import ctypes.util
import importlib
import json
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.processes import dies_with_parent

ROOT = Path(__file__).parents[3]
SPEAK_SECONDS = 30
RATE_OF_SPEECH = 135  # words a minute
ENGLISH = "en-us"

# Which language reads a script, by the first word of its letters' names in Unicode.
LANGUAGES = {
    "CYRILLIC": "ru", "DEVANAGARI": "hi", "GREEK": "el", "ARABIC": "ar", "HEBREW": "he", "HANGUL": "ko", "HIRAGANA": "ja",
    "KATAKANA": "ja", "CJK": "cmn", "BENGALI": "bn", "TAMIL": "ta", "TELUGU": "te", "THAI": "th", "GEORGIAN": "ka",
    "ARMENIAN": "hy", "GUJARATI": "gu", "GURMUKHI": "pa", "KANNADA": "kn", "MALAYALAM": "ml", "SINHALA": "si",
    "MYANMAR": "my", "ETHIOPIC": "am",
}  # fmt: skip
# Words that espeak-ng would say as a letter or with full weight when they stand alone: its own mnemonics for them.
SOFT = {"a": "[[@]]", "A": "[[@]]", "I": "[[aI]]", "the": "[[D@]]", "The": "[[D@]]"}
_VOWELS = frozenset("aeiouyɑɐɒæɛəɚɜɝɪɨɔøœɵʉʊʌɯɤɘɞɶᵻ")
_VOICELESS = frozenset("ptkqcfθsʃʂɕxχhħçɸʔɬ")
_SYLLABIC = "\N{COMBINING VERTICAL LINE BELOW}"
_STRESS = "ˈˌ"


@dataclass(frozen=True)
class Phone:
    """A phoneme of a spoken word, in samples from the word's start."""

    start: int
    end: int
    vowel: bool
    voiced: bool
    stressed: bool


@dataclass(frozen=True)
class Syllable:
    """Where a syllable's onset, vowel and coda lie in its word's samples: start <= vowel < coda <= end."""

    start: int
    vowel: int
    coda: int
    end: int
    stressed: bool


@dataclass(frozen=True)
class Spoken:
    """A word: mono samples (-1 to 1) at `rate`, its phonemes, and its syllables, at least one."""

    sound: np.ndarray
    rate: int
    phones: tuple[Phone, ...]
    syllables: tuple[Syllable, ...]


def find_library() -> tuple[str, str | None] | None:
    """Path of espeak-ng's library and of its data (None: it knows): the installed one, else espeakng_loader's."""
    if shutil.which("espeak-ng") and (installed := ctypes.util.find_library("espeak-ng")):
        return installed, None
    try:
        loader = importlib.import_module("espeakng_loader")
    except (ImportError, OSError, RuntimeError):
        return None
    return str(loader.get_library_path()), str(loader.get_data_path())


def language_of(text: str) -> str:
    """The language that reads this word's letters; English where nothing else does."""
    for letter in text:
        script = unicodedata.name(letter, "").split(" ")[0].split("-")[0]
        if script in LANGUAGES:
            return LANGUAGES[script]
    return ENGLISH


def speak(texts: Sequence[str], variant: str, pitch: int, said: Mapping[str, str] | None = None) -> dict[str, Spoken]:
    """Every text that could be spoken, read as `said` tells for some; none at all where there is no voice. The same texts
    give the same samples."""
    found, sayings = find_library(), said or {}
    if found is None or not texts:
        return {}
    words = _ask(found, texts, variant, pitch, sayings)
    if words is None:  # a letter that it cannot bear: better all others than none
        words = _ask(found, [text for text in texts if text.isascii()], variant, pitch, {})
    return words or {}


def _ask(
    found: tuple[str, str | None], texts: Sequence[str], variant: str, pitch: int, said: Mapping[str, str]
) -> dict[str, Spoken] | None:
    words = [[SOFT.get(text, said.get(text, text)), language_of(said.get(text, text)), text in SOFT] for text in texts]
    asked: dict[str, object] = {"library": found[0], "data": found[1], "variant": variant, "fallback": ENGLISH}
    asked |= {"pitch": pitch, "rate": RATE_OF_SPEECH, "words": words}
    argv = dies_with_parent([sys.executable, "-m", "scripts.sandbox.compose.speaker"], "KILL")
    try:
        done = subprocess.run(
            argv, input=json.dumps(asked).encode(), capture_output=True, timeout=SPEAK_SECONDS, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        return None
    head, _newline, sound = done.stdout.partition(b"\n")
    return _parsed(texts, json.loads(head), np.frombuffer(sound, "<i2").astype(np.float32) / 32768)


def _parsed(texts: Sequence[str], head: dict[str, Any], sound: np.ndarray) -> dict[str, Spoken]:
    """What speaker.py wrote."""
    found: dict[str, Spoken] = {}
    start, rate = 0, int(head["rate"])
    for text, (length, events) in zip(texts, head["words"], strict=True):
        phones = phones_of(events, length)
        syllables = syllables_of(phones)
        if syllables:
            found[text] = Spoken(sound[start : start + length], rate, phones, syllables)
        start += length
    return found


def phones_of(events: Sequence[tuple[int, str]], length: int) -> tuple[Phone, ...]:
    """The phonemes proper: pauses and changes of language fall out."""
    ends = [*(at for at, _name in events[1:]), length]
    phones = []
    for (start, name), end in zip(events, ends, strict=True):
        bare = name.lstrip(_STRESS)
        if not bare or bare[0] in "_(" or end <= start:
            continue
        vowel = bare[0] in _VOWELS or _SYLLABIC in bare
        phones.append(Phone(start, end, vowel, vowel or bare[0] not in _VOICELESS, name[0] == "ˈ"))
    return tuple(phones)


def syllables_of(phones: Sequence[Phone]) -> tuple[Syllable, ...]:
    """One per vowel: of the consonants between two vowels the last begins the second one's syllable."""
    vowels = [at for at, phone in enumerate(phones) if phone.vowel]
    if not vowels:
        return ()
    starts = [0, *(max(before + 1, at - 1) for before, at in zip(vowels, vowels[1:], strict=False))]
    ends = [*starts[1:], len(phones)]
    return tuple(
        Syllable(phones[start].start, phones[at].start, phones[at].end, phones[end - 1].end, phones[at].stressed)
        for at, start, end in zip(vowels, starts, ends, strict=True)
    )
