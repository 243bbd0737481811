"""From instruments to two channels: room, balance, loudness. Samples are float32; stereo has the shape (2, n)."""

import numpy as np

from scripts.sandbox.compose.instruments import RATE

CEILING = 0.80  # of full scale (-1.9 dB): what MP3 adds to peaks stays below 1
BLOCK = 1 << 16
Sound = np.ndarray


def gain(decibels: float) -> np.float32:
    return np.float32(10 ** (decibels / 20))


def sides(pan: float) -> tuple[np.float32, np.float32]:
    """The shares of left and right, with constant power."""
    angle = (pan + 1) * np.pi / 4
    return np.float32(np.cos(angle)), np.float32(np.sin(angle))


def halfband(taps: int = 31) -> Sound:
    """A low pass at a quarter of the rate: for going to half of it and back."""
    at = np.arange(taps) - taps // 2
    return (np.sinc(at / 2) / 2 * np.hamming(taps)).astype(np.float32)


def doubled(sound: Sound, count: int) -> Sound:
    """The sound at twice its rate, `count` samples of it: the old samples stay, new ones come between them."""
    out = np.zeros(2 * len(sound), np.float32)
    out[::2] = sound
    # Every second tap of a half band filter is zero but the middle one, which is what the old samples get.
    out[1::2] = np.convolve(np.append(sound[1:], np.float32(0)), 2 * halfband()[::2], "same")
    return np.pad(out, (0, max(0, count - len(out))))[:count]


def halved(sound: Sound) -> Sound:
    """The sound at half its rate, a half band filter's low pass first."""
    even, odd = sound[::2], sound[1::2]
    between = np.convolve(odd, halfband()[::2], "same").astype(np.float32)
    return (0.5 * even[: len(between)] + between[: len(even)]).astype(np.float32)


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
            answer = np.fft.irfft(np.fft.rfft(blocks[at], size) * spectrum, size)
            out[at * BLOCK : at * BLOCK + size] += answer.astype(np.float32)
    return out[: len(sound)]


def envelope(sound: Sound, rate: int, seconds: float = 0.05) -> Sound:
    """How loud (RMS) every window of `seconds` is."""
    size = int(seconds * rate)
    return np.sqrt(np.mean(sound[: len(sound) // size * size].reshape(-1, size) ** 2, axis=1))


def duck(band: Sound, voice: Sound, depth: float) -> None:
    """Makes the band `depth` dB softer where the voice is heard."""
    step = 0.05
    loud = np.minimum(envelope(voice, RATE, step) / 0.03, 1)
    smooth = np.convolve(loud, np.hanning(9) / np.hanning(9).sum(), "same")
    band *= _ramps(10 ** (-depth / 20 * smooth), int(step * RATE), band.shape[1])


def _ramps(values: Sound, size: int, count: int) -> Sound:
    """A straight line from each value to the next one, `size` samples long; the last value to the end."""
    padded = np.append(values, values[-1]).astype(np.float32)
    lines = padded[:-1, None] + np.diff(padded)[:, None] * np.linspace(0, 1, size, endpoint=False, dtype=np.float32)
    return np.pad(lines.ravel(), (0, max(0, count - lines.size)), mode="edge")[:count]


def loudness(stereo: Sound) -> float:
    """Integrated loudness in LUFS after ITU-R BS.1770, of blocks of 370 ms, every second of them: exact to half a dB."""
    size = 1 << 14
    count = stereo.shape[1] // size
    if count == 0:
        return -70.0
    at = np.fft.rfftfreq(size, 1 / RATE)
    window = np.hanning(size).astype(np.float32)
    blocks = np.fft.rfft(stereo[:, : count * size].reshape(2, count, size)[:, ::2] * window, axis=2)
    power = (np.abs(blocks) ** 2 * _weighting(at)).sum(axis=(0, 2)) * 2 / size / (window**2).sum()
    levels = -0.691 + 10 * np.log10(np.maximum(power, 1e-12))
    heard = power[levels > -70]
    if not len(heard):
        return -70.0
    gate = -0.691 + 10 * np.log10(heard.mean()) - 10
    return float(-0.691 + 10 * np.log10(power[levels > max(gate, -70)].mean()))


def _weighting(at: Sound) -> Sound:
    """The K curve's power at these frequencies, from the standard's two filters (their coefficients are for 48 kHz)."""
    delay = np.exp(-2j * np.pi * at / 48000)
    shelf = (1.53512485958697 - 2.69169618940638 * delay + 1.19839281085285 * delay**2) / (
        1 - 1.69065929318241 * delay + 0.73248077421585 * delay**2
    )
    highpass = (1 - delay) ** 2 / (1 - 1.99004745483398 * delay + 0.99007225036621 * delay**2)
    return np.abs(shelf * highpass) ** 2


def limited(stereo: Sound) -> Sound:
    """No sample above the ceiling: the level goes down a little before a peak and comes back after it."""
    size = 64
    count = -(-stereo.shape[1] // size)
    peaks = np.zeros(count * size, np.float32)
    np.maximum(np.abs(stereo[0]), np.abs(stereo[1]), out=peaks[: stereo.shape[1]])
    needed = np.minimum(1, CEILING / np.maximum(peaks.reshape(count, size).max(axis=1), 1e-9))
    reach = 6
    lowest = np.lib.stride_tricks.sliding_window_view(np.pad(needed, 2 * reach, mode="edge"), 4 * reach + 1).min(axis=1)
    bell = np.hanning(2 * reach + 1)
    smooth = np.convolve(np.pad(lowest, reach, mode="edge"), bell / bell.sum(), "valid")
    out = stereo * _ramps(smooth, size, stereo.shape[1])
    return np.clip(out, -CEILING, CEILING, out=out)


def mastered(stereo: Sound, target: float) -> Sound:
    """At `target` LUFS, without a sample above the ceiling."""
    level = target - loudness(stereo)
    made = limited(stereo * gain(level))
    level += 1.15 * (target - loudness(made))  # what the limiter took, and will take of that
    return limited(stereo * gain(level))
