"""The band's instruments: one note each as mono samples, float32 at 44.1 kHz, beginning and ending in silence."""

from collections.abc import Callable

import numpy as np

RATE = 44100
TOP = 15000.0  # Hz: no partial above, so that nothing folds back
Sound = np.ndarray


def hertz(midi: float) -> float:
    return float(440.0 * 2.0 ** ((midi - 69) / 12))


def time_axis(seconds: float) -> Sound:
    return np.arange(int(seconds * RATE), dtype=np.float64) / RATE


def sine(phase: Sound) -> Sound:
    """Of a phase in turns: reduced first, so that single precision suffices."""
    return np.sin((2 * np.pi * (phase % 1.0)).astype(np.float32))


def shaped(sound: Sound, attack: float, release: float) -> Sound:
    """The sound with a beginning and an end that do not click."""
    first, last = min(len(sound), max(2, int(attack * RATE))), min(len(sound), max(2, int(release * RATE)))
    out = sound.astype(np.float32)
    out[:first] *= np.linspace(0, 1, first, dtype=np.float32)
    out[len(out) - last :] *= np.linspace(1, 0, last, dtype=np.float32) ** 2
    return out


def _partials(frequency: float, seconds: float, weights: list[float], decay: float, faster: float, stiff: float = 0.0) -> Sound:
    """A sum of overtones, each dying `faster` than the one below; `stiff` spreads them as a piano's strings do."""
    time = time_axis(seconds)
    sound = np.zeros(len(time), np.float32)
    for number, weight in enumerate(weights, 1):
        pitch = frequency * number * np.sqrt(1 + stiff * number * number)
        if pitch > TOP:
            break
        fall = np.exp((-decay * (1 + faster * (number - 1)) * time).astype(np.float32))
        sound += np.float32(weight) * fall * sine(pitch * time + 0.13 * number)
    return sound


def _saw(frequency: float, seconds: float, partials: int, tilt: float = 1.0) -> Sound:
    time = time_axis(seconds)
    sound = np.zeros(len(time), np.float32)
    for number in range(1, partials + 1):
        if frequency * number > TOP:
            break
        sound += np.float32(1 / number**tilt) * sine(frequency * number * time)
    return sound


def noise(seconds: float, seed: int) -> Sound:
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE), dtype=np.float32)


def band(sound: Sound, low: float, high: float) -> Sound:
    """Only what lies between two frequencies, in Hz, with soft edges."""
    spectrum = np.fft.rfft(sound)
    at = np.fft.rfftfreq(len(sound), 1 / RATE)
    keep = 1 / (1 + (low / np.maximum(at, 1)) ** 6) / (1 + (at / high) ** 6)
    return np.fft.irfft(spectrum * keep, len(sound)).astype(np.float32)


def piano(midi: float, seconds: float) -> Sound:
    pitch = hertz(midi)
    weights = [1, 0.55, 0.38, 0.25, 0.16, 0.12, 0.08, 0.06, 0.04, 0.03]
    sound = _partials(pitch, seconds + 0.5, weights, 0.7 + pitch / 600, 0.35, 0.0004)
    return shaped(sound * 0.35, 0.003, 0.45)


def electric(midi: float, seconds: float) -> Sound:
    """An electric piano: two sines, one bending the other, with a slow tremolo."""
    time, pitch = time_axis(seconds + 0.3), hertz(midi)
    bell = 0.9 * np.exp(-5 * time) * np.sin(2 * np.pi * ((14 * pitch * time) % 1)) * (pitch * 14 < TOP) * 0.12
    body = sine(pitch * time + 0.16 * np.exp(-2.5 * time) * np.sin(2 * np.pi * ((pitch * time) % 1)) + bell * 0.3)
    tremolo = 1 + 0.12 * np.sin(2 * np.pi * 4.6 * time)
    return shaped(0.4 * body * np.exp(-1.3 * time) * tremolo, 0.004, 0.28)


def nylon(midi: float, seconds: float) -> Sound:
    weights = [1, 0.7, 0.45, 0.22, 0.15, 0.1, 0.06, 0.05]
    return shaped(0.35 * _partials(hertz(midi), seconds + 0.8, weights, 1.5 + hertz(midi) / 500, 0.7), 0.002, 0.6)


def ukulele(midi: float, seconds: float) -> Sound:
    weights = [1, 0.8, 0.3, 0.35, 0.12, 0.1]
    return shaped(0.32 * _partials(hertz(midi), seconds + 0.25, weights, 4.5, 0.6), 0.0015, 0.2)


def bell(midi: float, seconds: float) -> Sound:
    """A glockenspiel or a music box."""
    time, pitch = time_axis(seconds + 1.1), hertz(midi + 12)
    sound = sine(pitch * time) * np.exp(-2.6 * time) + 0.35 * sine(2.76 * pitch * time) * np.exp(-7 * time)
    return shaped(0.3 * sound, 0.0015, 0.5)


def guitar(midi: float, seconds: float) -> Sound:
    """A power chord, driven."""
    strings = ((0, 1.0), (7, 1.003), (12, 0.997))
    sound = sum(_saw(hertz(midi + step) * detune, seconds + 0.05, 14, 0.9) for step, detune in strings)
    return shaped(0.3 * np.tanh(1.4 * np.asarray(sound)) * np.exp(-0.8 * time_axis(seconds + 0.05)), 0.004, 0.05)


def pad(midi: float, seconds: float) -> Sound:
    pitch, length = hertz(midi), seconds + 0.7
    sound = _saw(pitch * 0.9965, length, 7, 1.5) + _saw(pitch * 1.0035, length, 7, 1.5) + _saw(pitch, length, 3, 1.5)
    return shaped(0.14 * sound, min(0.5, seconds / 3), 0.65)


def strings(midi: float, seconds: float) -> Sound:
    time = time_axis(seconds + 0.3)
    pitch = hertz(midi)
    wobble = 0.0018 * pitch / (2 * np.pi * 5) * np.sin(2 * np.pi * 5 * time) * 2 * np.pi
    sound = sum(sine(number * (pitch * time + wobble)) / number**1.25 for number in range(1, 9) if pitch * number < TOP)
    return shaped(0.25 * np.asarray(sound), min(0.12, seconds / 3), 0.28)


def bass(midi: float, seconds: float) -> Sound:
    sound = _partials(hertz(midi), seconds + 0.06, [1, 0.6, 0.35, 0.2, 0.12, 0.08], 1.2, 0.5)
    return shaped(0.5 * np.tanh(1.3 * sound), 0.005, 0.06)


def slap(midi: float, seconds: float) -> Sound:
    sound = _partials(hertz(midi), seconds + 0.03, [1, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15], 3.5, 0.4)
    return shaped(0.5 * np.tanh(1.2 * sound), 0.002, 0.04)


def sub(midi: float, seconds: float) -> Sound:
    sound = _partials(hertz(midi), seconds + 0.1, [1, 0.25, 0.08], 0.5, 0.8)
    return shaped(0.55 * sound, 0.012, 0.12)


def wah(midi: float, seconds: float) -> Sound:
    """A muted, nasal guitar chop."""
    time = time_axis(seconds + 0.03)
    low, high = _saw(hertz(midi), seconds + 0.03, 4, 0.6), _saw(hertz(midi), seconds + 0.03, 14, 0.5)
    opening = np.exp(-18 * time)
    return shaped(0.16 * (low * (1 - opening) + high * opening) * np.exp(-7 * time), 0.003, 0.03)


def brass(midi: float, seconds: float) -> Sound:
    """Bright from the middle of its attack on."""
    time = time_axis(seconds + 0.08)
    soft, bright = _saw(hertz(midi), seconds + 0.08, 4, 1.0), _saw(hertz(midi) * 1.002, seconds + 0.08, 14, 0.8)
    opened = np.clip(time / 0.06, 0, 1) * np.exp(-2 * time)
    return shaped(0.2 * (soft + bright * opened), 0.015, 0.08)


def saw(midi: float, seconds: float) -> Sound:
    pitch = hertz(midi)
    return shaped(0.17 * (_saw(pitch * 0.997, seconds + 0.08, 12) + _saw(pitch * 1.003, seconds + 0.08, 12)), 0.008, 0.08)


def whistle(midi: float, seconds: float) -> Sound:
    time = time_axis(seconds + 0.06)
    vibrato = 0.006 * np.clip(time / 0.3, 0, 1) * np.sin(2 * np.pi * 5.5 * time) / 5.5
    pitch = hertz(midi + 12)
    sound = sine(pitch * (time + vibrato)) + 0.08 * sine(2 * pitch * (time + vibrato))
    return shaped(0.3 * sound + 0.012 * noise(seconds + 0.06, 5)[: len(time)], 0.04, 0.06)


def kick() -> Sound:
    time = time_axis(0.32)
    return shaped(0.9 * sine(48 * time + 5.2 * (1 - np.exp(-28 * time))) * np.exp(-9 * time), 0.001, 0.08)


def snare() -> Sound:
    time = time_axis(0.28)
    tone = (sine(185 * time) + 0.6 * sine(331 * time)) * np.exp(-26 * time)
    return shaped(0.4 * tone + 0.28 * band(noise(0.28, 1), 900, 9000) * np.exp(-16 * time), 0.001, 0.06)


def brush() -> Sound:
    time = time_axis(0.35)
    return shaped(0.35 * band(noise(0.35, 8), 1500, 7000) * np.exp(-9 * time), 0.02, 0.15)


def clap() -> Sound:
    time = time_axis(0.3)
    hands = ((0.0, 90), (0.011, 90), (0.021, 90), (0.031, 14))
    bursts = sum((time >= at) * np.exp(-np.maximum(time - at, 0) * fall) for at, fall in hands)
    return shaped(0.4 * band(noise(0.3, 2), 800, 5000) * np.asarray(bursts), 0.001, 0.1)


def rim() -> Sound:
    time = time_axis(0.09)
    return shaped(0.5 * (sine(1720 * time) + 0.7 * sine(530 * time)) * np.exp(-70 * time), 0.001, 0.02)


def hat() -> Sound:
    return shaped(0.5 * band(noise(0.09, 3), 7000, 15000) * np.exp(-60 * time_axis(0.09)), 0.001, 0.02)


def open_hat() -> Sound:
    return shaped(0.45 * band(noise(0.32, 4), 6500, 15000) * np.exp(-11 * time_axis(0.32)), 0.001, 0.08)


def shaker() -> Sound:
    time = time_axis(0.11)
    return shaped(0.4 * band(noise(0.11, 6), 5000, 13000) * np.sin(np.pi * time / 0.11) ** 2, 0.01, 0.03)


def crash() -> Sound:
    return shaped(0.5 * band(noise(1.8, 7), 3000, 14000) * np.exp(-2.6 * time_axis(1.8)), 0.002, 0.6)


def tom() -> Sound:
    time = time_axis(0.35)
    return shaped(0.7 * sine(92 * time + 1.4 * (1 - np.exp(-12 * time))) * np.exp(-8 * time), 0.002, 0.1)


def vinyl() -> Sound:
    """A second of an old record's crackle and hiss."""
    chance = np.random.default_rng(9)
    sound = 0.02 * noise(1.0, 10)
    for at in chance.integers(0, RATE - 200, 9):
        sound[at : at + 60] += np.float32(chance.uniform(0.15, 0.6)) * np.hanning(60).astype(np.float32)
    return shaped(band(sound, 400, 8000), 0.02, 0.02)


Melodic = Callable[[float, float], Sound]
MELODIC: dict[str, Melodic] = {
    "piano": piano, "electric": electric, "nylon": nylon, "ukulele": ukulele, "bell": bell, "guitar": guitar, "guitar2": guitar,
    "pad": pad, "strings": strings, "bass": bass, "slap": slap, "sub": sub, "wah": wah, "brass": brass, "saw": saw,
    "whistle": whistle,
}  # fmt: skip
STRUCK: dict[str, Callable[[], Sound]] = {
    "kick": kick, "snare": snare, "brush": brush, "clap": clap, "rim": rim, "hat": hat, "open": open_hat, "shaker": shaker,
    "crash": crash, "tom": tom, "vinyl": vinyl,
}  # fmt: skip
