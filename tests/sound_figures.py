"""What one hears of a song, as figures: tempo, key, energy. Samples are mono, 44.1 kHz, -1 to 1."""

import numpy as np

RATE = 44100
HOP = 441  # 10 ms
SIZE = 2048
MAJOR = (0, 2, 4, 5, 7, 9, 11)


def onsets(sound: np.ndarray) -> np.ndarray:
    """How much sound begins, every 10 ms."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, SIZE)[::HOP] * np.hanning(SIZE).astype(np.float32)
    flux = np.maximum(np.diff(np.log1p(50 * np.abs(np.fft.rfft(frames)[:, :600])), axis=0), 0).sum(axis=1)
    around = np.convolve(flux, np.ones(60) / 60, "same")
    return np.maximum(flux - around, 0)


def tempo(sound: np.ndarray, low: float = 50, high: float = 150) -> float:
    """The clearest tempo in this range, in beats a minute: where beats, bars and pairs of bars repeat, in two or in three."""
    tempi = np.arange(low, high, 0.25)
    envelope = onsets(sound)
    power = np.abs(np.fft.rfft(envelope, 2 * len(envelope))) ** 2
    likeness = np.fft.irfft(power)[: len(envelope)]
    beat = 60 / tempi * RATE / HOP
    two, three = (
        np.interp(np.outer(beat, lags), np.arange(len(envelope)), likeness).mean(axis=1)
        for lags in ((1, 2, 4, 8), (1, 3, 6, 12))
    )
    return float(tempi[np.maximum(two, three).argmax()])


def chroma(sound: np.ndarray) -> np.ndarray:
    """How loud each of the twelve notes is, C first, over octaves 2 to 6."""
    size = 1 << 14
    blocks = sound[: len(sound) // size * size].reshape(-1, size) * np.hanning(size).astype(np.float32)
    power = (np.abs(np.fft.rfft(blocks)) ** 2).sum(axis=0)
    at = np.fft.rfftfreq(size, 1 / RATE)
    heard = (at > 60) & (at < 2000)
    notes = np.round(12 * np.log2(at[heard] / 440) + 69).astype(int) % 12
    return np.bincount(notes, np.sqrt(power[heard]), 12)


def signature(sound: np.ndarray) -> int:
    """The key signature: tonic (pitch class) of the major scale whose seven notes are the loudest."""
    heard = chroma(sound)
    return max(range(12), key=lambda tonic: sum(heard[(tonic + step) % 12] for step in MAJOR))


def energy(sound: np.ndarray) -> dict[str, float]:
    """RMS and crest in dB, and onsets a second."""
    power = float(np.sqrt(np.mean(sound**2)))
    envelope = onsets(sound)
    middle, strong = envelope[1:-1], 0.25 * np.percentile(envelope, 99)
    peaks = (middle > envelope[:-2]) & (middle >= envelope[2:]) & (middle > strong)
    return {
        "rms": 20 * np.log10(power), "crest": 20 * np.log10(float(np.abs(sound).max()) / power),
        "onsets": float(peaks.sum()) / (len(sound) / RATE),
    }  # fmt: skip
