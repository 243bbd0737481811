"""What the renderer needs of an ffmpeg, and whether this one has it: each thing is tried on a few bytes of silence and grey."""
import re
from dataclasses import dataclass

from render.ffmpeg import Deadline, run_ffmpeg
from render.spec import RenderError

SILENCE = ["-f", "s16le", "-ar", "44100", "-ac", "1"]
GREY = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", "64x64", "-framerate", "5"]
FILTERS = {
    "silencedetect": "silencedetect", "ebur128": "ebur128=peak=true:framelog=verbose", "volumedetect": "volumedetect",
    "volume": "volume=1dB", "aresample": "aresample=48000", "alimiter": "alimiter=limit=0.9:level=false",
    "loudnorm": "loudnorm",
}
AAC = ["-c:a", "aac", "-aac_coder", "fast"]
X264 = ["-c:v", "libx264", "-preset", "fast", "-pix_fmt", "yuv420p"]
ALL_SECONDS = 8.0


@dataclass(frozen=True)
class Features:
    path: str
    version: str  # as it calls itself; "" where it can't be run at all
    missing: tuple[str, ...]


def features(ffmpeg: str) -> Features:
    """Two short runs where all is well; where not, one for each thing that may be missing. ALL_SECONDS at most in all."""
    deadline = Deadline(ALL_SECONDS)
    said = _try(ffmpeg, deadline, SILENCE, ["-af", ",".join(FILTERS.values()), *AAC])
    pictures = _try(ffmpeg, deadline, GREY, X264)
    missing = [] if said is not None else _missing_in_sound(ffmpeg, deadline)
    if pictures is None:
        missing.append("libx264")
    version = re.search(r"^ffmpeg version (\S+)", said or pictures or "", re.M)
    return Features(ffmpeg, version[1][:50] if version else "", tuple(missing))


def _missing_in_sound(ffmpeg: str, deadline: Deadline) -> list[str]:
    lacks = [name for name, text in FILTERS.items() if _try(ffmpeg, deadline, SILENCE, ["-af", text]) is None]
    return lacks if _try(ffmpeg, deadline, SILENCE, AAC) is not None else [*lacks, "aac"]


def _try(ffmpeg: str, deadline: Deadline, source: list[str], options: list[str]) -> str | None:
    """What it said; None where it would not."""
    argv = [ffmpeg, "-nostats", "-progress", "pipe:1", "-loglevel", "info"]
    argv += [*source, "-i", "pipe:0", *options, "-f", "null", "-"]
    try:
        return run_ffmpeg(argv, timeout=deadline.left(), feed=[bytes(64 * 64 * 3 // 2 * 5)]).log
    except RenderError:
        return None
