"""The six vibes as music: tempo, metre, mode, chords, who sings, how loud, who plays where in the room."""

from dataclasses import dataclass

# Semitones above the tonic of the seven degrees of a mode.
MODES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
_ROOTS = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
_SEVENTHS = {"": (), "7": (10,), "M7": (11,), "9": (10, 14), "M9": (11, 14), "6": (9,)}


@dataclass(frozen=True)
class Chord:
    """Semitones: the root above the song's tonic (0-11), and the notes above the root."""

    root: int
    notes: tuple[int, ...]

    def classes(self) -> frozenset[int]:
        """Pitch classes above the tonic."""
        return frozenset((self.root + note) % 12 for note in self.notes[:4])


def chord(name: str) -> Chord:
    """ "ii7" is a minor seventh on the second degree, "bVII" a major triad on the flat seventh, "IVM7" has a major seventh."""
    flat = name.startswith("b")
    bare = name.lstrip("b")
    numeral = "".join(letter for letter in bare if letter in "iIvV")
    triad = (0, 3, 7) if numeral.islower() else (0, 4, 7)
    return Chord((_ROOTS[numeral.lower()] - flat) % 12, triad + _SEVENTHS[bare[len(numeral) :]])


def chords(names: str) -> tuple[tuple[Chord, ...], ...]:
    """Bars divided by "|", each of one chord or two."""
    return tuple(tuple(chord(name) for name in bar.split()) for bar in names.split("|"))


@dataclass(frozen=True)
class Place:
    """Where an instrument stands: level in dB, -1 (left) to 1 (right), share sent to the reverb."""

    level: float
    pan: float = 0.0
    reverb: float = 0.1


@dataclass(frozen=True)
class Style:
    """`beats` to the bar, `slots` to the beat (what syllables stand on); a sung line is two bars. `swing` is where in
    the beat its second half begins. Tonics are MIDI notes of the low end of a woman's voice here."""

    bpm: float
    beats: int
    slots: int
    swing: float
    mode: str
    tonics: tuple[int, ...]
    verse: str
    chorus: str
    bridge: str
    voices: tuple[str, ...]
    loudness: float  # LUFS
    reverb: float  # seconds
    lead: str
    intro: int  # lines, before the first verse
    outro: int
    places: dict[str, Place]
    lift: int = 0  # semitones, for the last chorus
    syncopation: float = 0.1  # how gladly syllables fall between the beats

    @property
    def line_beats(self) -> int:
        return 2 * self.beats

    @property
    def line_slots(self) -> int:
        return 2 * self.beats * self.slots


_DRUMS = {
    "kick": Place(-3, 0, 0.0), "snare": Place(-7, 0.05, 0.12), "clap": Place(-8, -0.08, 0.2), "rim": Place(-12, 0.2, 0.2),
    "hat": Place(-17, 0.3, 0.02), "open": Place(-18, 0.3, 0.05), "shaker": Place(-20, -0.4, 0.05),
    "crash": Place(-17, -0.2, 0.2), "tom": Place(-9, -0.2, 0.15), "brush": Place(-20, 0.15, 0.15), "pet": Place(-8, 0.25, 0.3),
    "vinyl": Place(-24, 0, 0),
}  # fmt: skip

STYLES: dict[str, Style] = {
    "chill": Style(
        bpm=86, beats=4, slots=2, swing=0.59, mode="major", tonics=(57, 58, 56),
        verse="IM9 | vi7 | ii9 | V9 | IM9 | iii7 | IVM7 | V9", chorus="IVM7 | V7 | iii7 | vi7 | ii9 | V9 | IM9 | IM9",
        bridge="IVM9 | iii7 | ii9 | V9", voices=("f2", "m3", "f3"), loudness=-14.8, reverb=1.5, lead="electric",
        intro=1, outro=1,
        places=_DRUMS | {
            "kick": Place(-5), "snare": Place(-11, 0.05, 0.25), "hat": Place(-22, 0.3), "electric": Place(-9, -0.15, 0.25),
            "sub": Place(-7), "lead": Place(-12, 0.25, 0.35), "pad": Place(-22, 0, 0.4),
        },
        syncopation=0.35,
    ),
    "energetic": Style(
        bpm=138, beats=4, slots=2, swing=0.5, mode="major", tonics=(57, 55, 58),
        verse="I | I | V | V | vi | vi | IV | V", chorus="I | V | vi | IV | I | V | IV | V",
        bridge="vi | vi | IV | IV | ii | ii | V | V", voices=("f3", "m3"), loudness=-12.4, reverb=0.9, lead="saw",
        intro=2, outro=2,
        places=_DRUMS | {
            "guitar": Place(-12, -0.6, 0.08), "guitar2": Place(-12, 0.6, 0.08), "bass": Place(-6),
            "lead": Place(-14, 0.15, 0.25),
            "pad": Place(-21, 0, 0.3),
        },
        lift=2, syncopation=0.25,
    ),
    "romantic": Style(
        bpm=54, beats=2, slots=3, swing=0.5, mode="major", tonics=(56, 58, 55),
        verse="I | vi | IVM7 | V7 | I | iii | IVM7 | V7", chorus="IV | V | I | vi7 | ii7 | V7 | I | I",
        bridge="vi | iii7 | ii7 | V7", voices=("f3", "f2", "m3"), loudness=-15.0, reverb=2.2, lead="strings", intro=1, outro=1,
        places=_DRUMS | {
            "kick": Place(-10), "brush": Place(-19, 0.2, 0.3), "rim": Place(-18, 0.15, 0.4), "piano": Place(-7, -0.1, 0.25),
            "pad": Place(-17, 0.1, 0.5), "bass": Place(-10), "lead": Place(-16, 0.25, 0.5), "bell": Place(-20, -0.3, 0.6),
        },
        syncopation=0.3,
    ),
    "party": Style(
        bpm=118, beats=4, slots=2, swing=0.5, mode="dorian", tonics=(57, 55, 59),
        verse="i7 | IV7 | i7 | IV7 | i7 | IV7 | bVII | v7", chorus="i7 | bVII | IV7 | i7 | bIII | bVII | IV7 | i7",
        bridge="bVII | IV7 | i7 | v7", voices=("f3", "m3", "f2"), loudness=-12.2, reverb=1.0, lead="brass", intro=2, outro=2,
        places=_DRUMS | {
            "kick": Place(-1), "clap": Place(-6, 0, 0.2), "hat": Place(-16, 0.3), "open": Place(-15, 0.3),
            "wah": Place(-14, -0.5, 0.1),
            "slap": Place(-5), "lead": Place(-12, 0.2, 0.2), "pad": Place(-19, 0, 0.35), "brass": Place(-14, 0.35, 0.2),
        },
        syncopation=0.4,
    ),
    "relaxing": Style(
        bpm=78, beats=3, slots=2, swing=0.5, mode="major", tonics=(55, 57, 58),
        verse="I | IVM7 | I | V | vi | iii | IVM7 | V", chorus="IVM7 | I | ii7 | vi | IVM7 | V | I | I",
        bridge="vi | IVM7 | ii7 | V", voices=("f2", "f3"), loudness=-15.8, reverb=2.6, lead="bell", intro=1, outro=1,
        places=_DRUMS | {
            "nylon": Place(-8, -0.2, 0.3), "pad": Place(-13, 0, 0.6), "lead": Place(-17, 0.3, 0.6),
            "bell": Place(-19, 0.35, 0.6),
            "sub": Place(-13), "shaker": Place(-30, 0.3, 0.3),
        },
        syncopation=0.1,
    ),
    "other": Style(
        bpm=104, beats=4, slots=2, swing=0.64, mode="mixolydian", tonics=(55, 57, 60),
        verse="I | I | IV | I | I | I | bVII | I", chorus="IV | I | IV | I | IV | I | bVII | I",
        bridge="IV | bVII | IV | V", voices=("f3", "m3"), loudness=-13.8, reverb=0.8, lead="whistle", intro=1, outro=1,
        places=_DRUMS | {
            "kick": Place(-5), "ukulele": Place(-9, -0.35, 0.15), "bass": Place(-6), "lead": Place(-13, 0.2, 0.35),
            "bell": Place(-19, 0.45, 0.3), "clap": Place(-11, 0.1, 0.25), "pad": Place(-30, 0, 0.4),
        },
        syncopation=0.15,
    ),
}  # fmt: skip
