"""From instruments to two channels: room, balance, loudness. Samples are float32; stereo has the shape (2, n)."""

import numpy as np

from scripts.sandbox.compose.instruments import RATE

CEILING = 0.80  # of full scale (-1.9 dB): what MP3 adds to peaks stays below 1
BLOCK = 1 << 16
Sound = np.ndarray


def gain(decibels: float) -> np.float32:
    return np.float32(10 ** (decibels / 20))


def panned(sound: Sound, pan: float) -> Sound:
    """Mono onto two channels with constant power."""
    angle = (pan + 1) * np.pi / 4
    return np.stack([sound * np.float32(np.cos(angle)), sound * np.float32(np.sin(angle))])


def halfband(taps: int = 31) -> Sound:
    """A low pass at a quarter of the rate: for going to half of it and back."""
    at = np.arange(taps) - taps // 2
    return (np.sinc(at / 2) / 2 * np.hamming(taps)).astype(np.float32)


def doubled(sound: Sound, count: int) -> Sound:
    """The sound at twice its rate, `count` samples of it."""
    out = np.zeros(2 * len(sound), np.float32)
    out[::2] = 2 * sound
    out = np.convolve(out, halfband(), "same").astype(np.float32)
    return np.pad(out, (0, max(0, count - len(out))))[:count]


def halved(sound: Sound) -> Sound:
    return np.convolve(sound, halfband(), "same").astype(np.float32)[::2]


def highpass(sound: Sound, cut: float, rate: int) -> Sound:
    """Takes away what is below `cut` Hz, by subtracting a moving average; a delay of none."""
    width = max(3, int(0.44 * rate / cut)) | 1
    total = np.cumsum(np.pad(sound.astype(np.float64), (width // 2 + 1, width // 2)))
    return (sound - (total[width:] - total[:-width]) / width).astype(np.float32)


def reverberated(send: Sound, seconds: float, seed: int) -> Sound:
    """The answer of a room that fades by 60 dB in `seconds`, stereo, as long as the send; computed at half the rate."""
    half, rate = halved(send), RATE // 2
    length = int(seconds * rate)
    time = np.arange(length) / rate
    chance = np.random.default_rng(seed)
    rooms = chance.standard_normal((2, length)).astype(np.float32) * np.exp(-6.9 * time / seconds).astype(np.float32)
    rooms *= np.clip(time / 0.012, 0, 1).astype(np.float32) * np.float32(2.6 / np.sqrt(length))
    rooms = np.stack([np.convolve(room, np.hanning(7) / np.hanning(7).sum(), "same") for room in rooms]).astype(np.float32)
    return np.stack([doubled(_convolved(half, room), len(send)) for room in rooms])


def _convolved(sound: Sound, response: Sound) -> Sound:
    """Block by block: one transform of the whole would not fit the processor's caches."""
    count = -(-len(sound) // BLOCK)
    size = 1 << int(np.ceil(np.log2(BLOCK + len(response))))
    blocks = np.pad(sound, (0, count * BLOCK - len(sound))).reshape(count, BLOCK)
    out = np.zeros((count * BLOCK + size), np.float32)
    spectrum = np.fft.rfft(response, size)
    for at in range(count):
        if blocks[at].any():
            out[at * BLOCK : at * BLOCK + size] += np.fft.irfft(np.fft.rfft(blocks[at], size) * spectrum, size).astype(np.float32)
    return out[: len(sound)]


def envelope(sound: Sound, rate: int, seconds: float = 0.05) -> Sound:
    """How loud (RMS) every window of `seconds` is."""
    size = int(seconds * rate)
    return np.sqrt(np.mean(sound[: len(sound) // size * size].reshape(-1, size) ** 2, axis=1))


def ducked(band: Sound, voice: Sound, depth: float) -> Sound:
    """The band, `depth` dB softer where the voice is heard."""
    step = 0.05
    loud = np.minimum(envelope(voice, RATE, step) / 0.04, 1)
    smooth = np.convolve(loud, np.hanning(9) / np.hanning(9).sum(), "same")
    curve = np.interp(np.arange(band.shape[1]), (np.arange(len(smooth)) + 0.5) * step * RATE, smooth)
    return band * (10 ** (-depth / 20 * curve)).astype(np.float32)


def loudness(stereo: Sound) -> float:
    """Integrated loudness in LUFS after ITU-R BS.1770, of blocks of 400 ms that do not overlap."""
    size = int(0.4 * RATE)
    count = stereo.shape[1] // size
    if count == 0:
        return -70.0
    at = np.fft.rfftfreq(size, 1 / RATE)
    window = np.hanning(size).astype(np.float32)
    blocks = np.fft.rfft(stereo[:, : count * size].reshape(2, count, size) * window, axis=2)
    power = (np.abs(blocks) ** 2 * _weighting(at)).sum(axis=(0, 2)) * 2 / size / (window**2).sum()
    levels = -0.691 + 10 * np.log10(np.maximum(power, 1e-12))
    heard = power[levels > -70]
    if not len(heard):
        return -70.0
    gate = -0.691 + 10 * np.log10(heard.mean()) - 10
    return float(-0.691 + 10 * np.log10(power[levels > max(gate, -70)].mean()))


def _weighting(at: Sound) -> Sound:
    """The K curve's power at these frequencies: a shelf of 4 dB above 1.7 kHz, a high pass at 38 Hz."""
    shelf = 1 + (10**0.4 - 1) / (1 + (1500 / np.maximum(at, 1)) ** 4)
    return shelf * (at**2 / (at**2 + 38.0**2)) ** 2


def limited(stereo: Sound) -> Sound:
    """No sample above the ceiling: the level goes down a little before a peak and comes back after it."""
    size = 64
    count = -(-stereo.shape[1] // size)
    peaks = np.abs(np.pad(stereo, ((0, 0), (0, count * size - stereo.shape[1])))).max(axis=0).reshape(count, size).max(axis=1)
    needed = np.minimum(1, CEILING / np.maximum(peaks, 1e-9))
    reach = 6
    lowest = np.lib.stride_tricks.sliding_window_view(np.pad(needed, 2 * reach, mode="edge"), 4 * reach + 1).min(axis=1)
    bell = np.hanning(2 * reach + 1)
    smooth = np.convolve(np.pad(lowest, reach, mode="edge"), bell / bell.sum(), "valid")
    curve = np.interp(np.arange(stereo.shape[1]), (np.arange(count) + 0.5) * size, smooth)
    return np.clip(stereo * curve.astype(np.float32), -CEILING, CEILING)


def mastered(stereo: Sound, target: float) -> Sound:
    """At `target` LUFS, without a sample above the ceiling."""
    level = target - loudness(stereo)
    made = limited(stereo * gain(level))
    for _ in range(2):  # what the limiter took
        level += target - loudness(made)
        made = limited(stereo * gain(level))
    return made
