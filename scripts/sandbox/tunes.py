"""Songs as real files: a small band per vibe, or a tone, made by ffmpeg at first need and kept.

A vibe's tune is four bars, computed sample by sample once and looped to the length asked for. Every file appears under
its name only when it is whole.
"""

import importlib
import os
import shutil
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.processes import dies_with_parent

MAKE_SECONDS = 120  # the longest song takes a few

# What follows -i for each output_format, and the type its file is served as.
ENCODERS: dict[str, tuple[list[str], str]] = {
    "mp3": (["-c:a", "libmp3lame", "-b:a", "192k", "-f", "mp3"], "audio/mpeg"),
    "ogg": (["-c:a", "libvorbis", "-q:a", "6", "-f", "ogg"], "audio/ogg"),
    "flac": (["-c:a", "flac", "-f", "flac"], "audio/flac"),
    "wav": (["-c:a", "pcm_s16le", "-f", "wav"], "audio/wav"),
    "m4a": (["-c:a", "aac", "-b:a", "192k", "-f", "ipod"], "audio/mp4"),
}


QUICK_MP3 = ["-compression_level", "7"]  # half the time, and at this rate nothing that one hears


class TuneError(RuntimeError):
    """ffmpeg is missing or failed; the message carries the way out or the end of its output."""


@dataclass(frozen=True)
class Band:
    """Four chords, one per bar: root in Hz and third as a ratio (major 1.2599, minor 1.1892)."""

    bpm: int
    chords: tuple[tuple[float, float], ...]
    kick: float
    hat: float
    pluck: float  # how fast a note dies away


MAJOR, MINOR = 1.2599, 1.1892
BANDS: dict[str, Band] = {
    "chill": Band(80, ((261.63, MAJOR), (220.0, MINOR), (174.61, MAJOR), (196.0, MAJOR)), 0.25, 0.03, 2.0),
    "energetic": Band(128, ((220.0, MINOR), (174.61, MAJOR), (261.63, MAJOR), (196.0, MAJOR)), 0.4, 0.08, 6.0),
    "romantic": Band(72, ((174.61, MAJOR), (220.0, MINOR), (233.08, MAJOR), (261.63, MAJOR)), 0.1, 0.0, 1.5),
    "party": Band(120, ((196.0, MINOR), (261.63, MAJOR), (174.61, MAJOR), (233.08, MAJOR)), 0.45, 0.1, 5.0),
    "relaxing": Band(60, ((261.63, MAJOR), (196.0, MAJOR), (220.0, MINOR), (174.61, MAJOR)), 0.0, 0.0, 1.0),
    "other": Band(100, ((261.63, MAJOR), (196.0, MAJOR), (220.0, MINOR), (174.61, MAJOR)), 0.3, 0.05, 3.0),
}
# Which tags speak for a band; the vibe's own name in the prompt counts three.
HINTS: dict[str, frozenset[str]] = {
    "chill": frozenset({"chill", "lo-fi", "mellow"}),
    "energetic": frozenset({"energetic", "upbeat", "pop rock"}),
    "romantic": frozenset({"romantic", "ballad"}),
    "party": frozenset({"party", "disco", "funk"}),
    "relaxing": frozenset({"relaxing", "ambient", "soft"}),
}


def vibe_of(prompt: str, tags: list[str]) -> str:
    """The band that fits an order best; "other" where nothing speaks for one."""
    scores = {vibe: len(hints & set(tags)) + 3 * (vibe in prompt.lower()) for vibe, hints in HINTS.items()}
    best = max(scores, key=lambda vibe: scores[vibe])
    return best if scores[best] else "other"


def find_ffmpeg() -> str:
    """FFMPEG, else PATH, else imageio-ffmpeg's binary. Raises TuneError when there is none."""
    named = os.environ.get("FFMPEG")
    if named:
        if shutil.which(named) is None:
            raise TuneError(f"FFMPEG is {named!r}, which is no program: name one, such as /usr/bin/ffmpeg")
        return named
    on_path = shutil.which("ffmpeg")
    if on_path:
        return on_path
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise TuneError("ffmpeg is missing: sudo apt-get install ffmpeg, or set FFMPEG") from error


def tone_hz(number: int) -> float:
    """The pitch of the order with this number: 220 different ones, 15 Hz apart, from 265 Hz."""
    return 250.0 + 15.0 * (1 + (number - 1) % 220)


def expression(band: Band, side: float) -> str:
    """One sample of the band at the time t, as ffmpeg's aevalsrc computes it: chord, bass, kick and hi-hat.

    `side` is -1 for the left ear and 1 for the right: chord and plucked notes sit apart, as in any mix.

    Registers: 0 time in the bar, 1 the bar, 2 time in the beat, 3 root, 4 third, 5 time in the half beat.
    """
    beat = 60 / band.bpm
    bar = 4 * beat
    root, third = (_by_bar([chord[at] for chord in band.chords]) for at in (0, 1))
    chord = "(sin(2*PI*ld(3)*t)+sin(2*PI*ld(3)*ld(4)*t)+sin(2*PI*ld(3)*1.4983*t))"
    return (
        f"st(0,mod(t,{bar}));st(1,floor(t/{bar}));st(2,mod(t,{beat}));st(3,{root});st(4,{third});"
        f"st(5,mod(t,{beat / 2}));"
        f"{0.14 + 0.03 * side:.2f}*min(1,ld(0)*40)*exp(-0.6*ld(0))*{chord}"
        f"+{0.08 - 0.03 * side:.2f}*min(1,ld(5)*200)*exp(-{band.pluck}*ld(5))"
        f"*sin(4*PI*ld(3)*if(lt(ld(2),{beat / 2}),1,ld(4))*t)"
        f"+0.2*min(1,ld(2)*200)*exp(-{band.pluck}*ld(2))*sin(PI*ld(3)*t)"
        f"+{band.kick}*exp(-12*ld(2))*sin(2*PI*(50*ld(2)+4*(1-exp(-20*ld(2)))))"
        f"+{band.hat}*(random(6)-0.5)*exp(-60*ld(5))"
    )


def _by_bar(values: list[float]) -> str:
    first, second, third, fourth = values
    return f"if(eq(ld(1),0),{first},if(eq(ld(1),1),{second},if(eq(ld(1),2),{third},{fourth})))"


def loop_argv(ffmpeg: str, band: Band, out: Path) -> list[str]:
    """argv that writes the band's four bars to out, as WAV."""
    source = f"aevalsrc='{expression(band, -1)}|{expression(band, 1)}':sample_rate=44100:duration={16 * 60 / band.bpm}"
    return [ffmpeg, *_QUIET, "-f", "lavfi", "-i", source, "-f", "wav", "-y", str(out)]


def song_argv(ffmpeg: str, loop: Path, seconds: float, file_format: str, out: Path) -> list[str]:
    """argv that repeats the loop to `seconds`, fading out at its end."""
    fade = min(3.0, seconds / 4)
    shape = ["-t", f"{seconds}", "-af", f"afade=t=out:st={seconds - fade}:d={fade}", *_PLAIN]
    return [ffmpeg, *_QUIET, "-stream_loop", "-1", "-i", str(loop), *shape, *ENCODERS[file_format][0], "-y", str(out)]


def tone_argv(ffmpeg: str, hertz: float, seconds: float, file_format: str, out: Path) -> list[str]:
    source = f"sine=frequency={hertz}:sample_rate=44100:duration={seconds}"
    shape = ["-af", "volume=3", *_PLAIN]
    return [ffmpeg, *_QUIET, "-f", "lavfi", "-i", source, *shape, *ENCODERS[file_format][0], "-y", str(out)]


def encode(ffmpeg: str, wav: Path, file_format: str, out: Path) -> Path:
    """Writes a song's samples to out, whole or not at all. Raises TuneError."""
    coding = [*ENCODERS[file_format][0], *(QUICK_MP3 if file_format == "mp3" else [])]
    return _made(out, lambda new: [ffmpeg, *_QUIET, "-i", str(wav), *_PLAIN, *coding, "-y", str(new)])


_QUIET = ["-nostdin", "-hide_banner", "-v", "error"]
_PLAIN = ["-ac", "2", "-ar", "44100", "-map_metadata", "-1"]


class Tunes:
    """The songs made so far, in a folder. Safe to ask from many threads: each file is made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def song(self, vibe: str, hertz: float | None, seconds: float, file_format: str) -> Path:
        """The file of a vibe's tune, or of a tone where hertz is given, made if it is not there. Raises TuneError."""
        seconds = max(seconds, 0.1)
        out = self.folder / f"{vibe if hertz is None else f'{hertz:g}hz'}-{seconds:g}.{file_format}"
        with self._locks[out.name]:
            if out.exists():
                return out
            ffmpeg = find_ffmpeg()
            if hertz is not None:
                return _made(out, lambda new: tone_argv(ffmpeg, hertz, seconds, file_format, new))
            loop = self._loop(ffmpeg, vibe)
            return _made(out, lambda new: song_argv(ffmpeg, loop, seconds, file_format, new))

    def _loop(self, ffmpeg: str, vibe: str) -> Path:
        out = self.folder / f"{vibe}-loop.wav"
        with self._locks[out.name]:
            return out if out.exists() else _made(out, lambda new: loop_argv(ffmpeg, BANDS[vibe], new))


def _made(out: Path, argv: Callable[[Path], list[str]]) -> Path:
    # The process in the name: two stand-ins may share a folder of songs.
    new = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        _run(argv(new))
        new.replace(out)
    finally:
        new.unlink(missing_ok=True)
    return out


def _run(argv: list[str]) -> None:
    try:
        done = subprocess.run(
            dies_with_parent(argv, "KILL"), capture_output=True, timeout=MAKE_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise TuneError(f"ffmpeg took over {MAKE_SECONDS} s for a song") from error
    if done.returncode != 0:
        raise TuneError(f"ffmpeg failed with {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")
