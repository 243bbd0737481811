"""What pets say between the lines: short sounds, mono, float32 at 44.1 kHz."""

from collections.abc import Callable

import numpy as np

from scripts.sandbox.compose.instruments import RATE, Sound, band, bell, noise, shaped, sine, time_axis


def _glide(start: float, middle: float, end: float, seconds: float) -> Sound:
    """The phase, in turns, of a pitch that goes over three places (Hz)."""
    line = np.interp(np.linspace(0, 2, int(seconds * RATE)), [0, 1, 2], [start, middle, end])
    return np.cumsum(line) / RATE


def _vowel(phase: Sound, formants: list[tuple[float, float]]) -> Sound:
    """A buzz of overtones whose strength follows formants (Hz, width)."""
    pitch = np.gradient(phase) * RATE
    sound = np.zeros(len(phase), np.float32)
    for number in range(1, 16):
        at = pitch * number
        strength = sum(np.exp(-(((at - middle) / width) ** 2)) for middle, width in formants) + 0.05
        sound += (strength / number**0.4 * (at < 9000)).astype(np.float32) * sine(phase * number)
    return sound


def woof() -> Sound:
    """Two barks."""
    phase = _glide(330, 480, 190, 0.16)
    rough = 1 + 0.5 * sine(70 * time_axis(0.16))[: len(phase)]
    bark = _vowel(phase, [(750, 350), (1500, 500)]) * rough * 0.3 + 0.25 * band(noise(0.16, 21), 500, 4000)[: len(phase)]
    bark = shaped(bark * np.exp(-9 * time_axis(0.16))[: len(phase)], 0.006, 0.05)
    gap = np.zeros(int(0.1 * RATE), np.float32)
    return np.concatenate([0.75 * bark, gap, bark])


def meow() -> Sound:
    phase = _glide(430, 640, 380, 0.62)
    share = np.linspace(0, 1, len(phase))
    opened = np.sin(np.pi * share) ** 0.7
    closed, wide = _vowel(phase, [(400, 250), (2300, 500)]), _vowel(phase, [(1000, 400), (1700, 500)])
    return shaped(0.3 * (closed * (1 - opened) + wide * opened) * np.sin(np.pi * share) ** 0.5, 0.05, 0.15)


def tweet() -> Sound:
    """Three chirps."""
    parts = []
    for top, seconds in ((3900, 0.09), (4400, 0.07), (3600, 0.16)):
        chirp = sine(_glide(top * 0.7, top, top * 0.8, seconds))
        parts += [shaped(0.35 * chirp, 0.012, 0.03), np.zeros(int(0.045 * RATE), np.float32)]
    return np.concatenate(parts)


def blub() -> Sound:
    """Bubbles that rise."""
    parts = []
    for start, seconds in ((320, 0.07), (420, 0.06), (380, 0.08), (560, 0.07)):
        phase = _glide(start, start * 1.25, start * 2.1, seconds)
        parts += [shaped(0.5 * sine(phase), 0.006, 0.03), np.zeros(int(0.05 * RATE), np.float32)]
    return np.concatenate(parts)


def ring() -> Sound:
    """The little bell of a collar."""
    one = bell(88, 0.25)
    out = np.zeros(len(one) + int(0.24 * RATE), np.float32)
    for at in (0.0, 0.12, 0.24):
        first = int(at * RATE)
        out[first : first + len(one)] += one[: len(out) - first]
    return out


SOUNDS: dict[str, Callable[[], Sound]] = {"dog": woof, "cat": meow, "bird": tweet, "fish": blub, "companion": ring}
