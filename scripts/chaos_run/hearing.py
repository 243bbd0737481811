"""What is really in a video: decoded to its end, its length, and the pitch of its song."""
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy

RATE = 8000  # the highest tone of the stand-in is below 4 kHz
DECODE_SECONDS = 120


@dataclass(frozen=True)
class Heard:
    hertz: float  # the loudest tone
    seconds: float  # of sound that decodes
    frames: int  # pictures that decode
    problem: str = ""  # what the decoder complained of


def hear(video: Path, ffmpeg: str = "ffmpeg") -> Heard:
    """Decode every packet of both streams. Never raises for a broken file: that is its `problem`."""
    sound, said = _decode(ffmpeg, video, ["-map", "0:a:0", "-ac", "1", "-ar", str(RATE), "-f", "s16le", "pipe:1"])
    grey = ["-map", "0:v:0", "-vf", "scale=2:2", "-pix_fmt", "gray", "-vsync", "passthrough", "-f", "rawvideo", "pipe:1"]
    pictures, also_said = _decode(ffmpeg, video, grey)
    return Heard(loudest_tone(sound), len(sound) / 2 / RATE, len(pictures) // 4, (said or also_said)[-300:])


def _decode(ffmpeg: str, video: Path, how: list[str]) -> tuple[bytes, str]:
    argv = [ffmpeg, "-nostdin", "-v", "error", "-xerror", "-threads", "1", "-f", "mp4", "-i", str(video), *how]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=DECODE_SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return b"", f"not decoded after {DECODE_SECONDS} s"
    said = done.stderr.decode(errors="replace").strip()
    return done.stdout, said or (f"exit code {done.returncode}" if done.returncode else "")


def loudest_tone(samples: bytes, rate: int = RATE) -> float:
    """Hz of the strongest line in the spectrum of 16-bit mono samples; 0 where there is nothing to hear."""
    wave = numpy.frombuffer(samples[: len(samples) // 2 * 2], dtype="<i2").astype(float)
    if len(wave) < rate // 10 or not wave.any():
        return 0.0
    spectrum = numpy.abs(numpy.fft.rfft(wave * numpy.hanning(len(wave))))
    return float(numpy.argmax(spectrum) * rate / len(wave))
