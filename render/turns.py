"""One encoded turn of a record, made or taken from a folder of turns already made."""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

from render import backdrop, commands, fonts, lettering, pictures, record
from render.ffmpeg import Deadline, Limits, run_ffmpeg
from render.files import new_file
from render.probe import read_movie
from render.spec import RenderError, VideoSpec

CACHE_BYTES = 512 * 1024 * 1024
# Drawings and photos out of focus (record.detail: one colour 900, a drawing 2,600, fur 3,200) take few bytes, and what
# they save pays for a better first picture; their seam would be seen.
PLAIN_BYTES = 2750
MOST_APPROACHING = 60  # 190 MB of a story, 430 MB of the largest video: a file may have 512
# Behind the sound, which takes longer and is made at the same time.
IN_THE_BACKGROUND = Limits(niceness=10)


def make_turn(photo: bytes, spec: VideoSpec, out: Path, *, ffmpeg: str, deadline: Deadline,
              progress: Callable[[float], None] | None = None, stop: threading.Event | None = None) -> None:
    """Render and encode one turn into `out`, an MP4 of exactly spec.turn_frames frames.

    Raises RenderError photo_unreadable, artwork_unreadable, output_invalid or what run_ffmpeg raises.
    """
    scene = record.make_scene(photo, spec)
    coding = commands.PLAIN if record.detail(scene, spec) < PLAIN_BYTES else commands.DETAILED
    lead = min(coding.lead, max(0, _approaching(spec) - 1))
    turntable = record.Turntable(scene, spec.turn_frames)
    *last, first = _seam(turntable, spec, coding, lead, out.with_name("approach.mp4"), ffmpeg, deadline, stop)
    frames = chain([first], turntable.frames(range(1, spec.turn_frames - lead)), last)
    whole = spec.turn_frames / spec.fps
    run_ffmpeg(commands.turn_args(ffmpeg, spec, out, coding, lead), feed=frames, timeout=deadline.left(), stop=stop,
               limits=IN_THE_BACKGROUND, progress=progress and (lambda seconds: progress(seconds / whole)))
    if not is_turn(out, spec):
        raise RenderError("output_invalid", "the encoded turn does not have the frames of one turn", str(out))


def _approaching(spec: VideoSpec) -> int:
    """Frames of a turn that gather nearly all the losses that a whole turn gathers; the encoder writes each as it is."""
    return min(spec.turn_frames // 3, MOST_APPROACHING)


def _seam(turntable: record.Turntable, spec: VideoSpec, coding: commands.Coding, lead: int, video: Path, ffmpeg: str,
          deadline: Deadline, stop: threading.Event | None) -> list[bytes]:
    """The last `lead` frames and the first one as they look after the frames before them, with the losses of those.

    A first frame drawn afresh has losses of its own, and the picture gives a start once a turn. The last frames lead to
    the very losses that the first one has. Fewer bytes are needed, too, for what the frames have in common stays.
    """
    count, size = _approaching(spec), spec.width * spec.height * 3 // 2
    raw = video.with_suffix(".yuv")
    run_ffmpeg(commands.turn_args(ffmpeg, spec, video, coding, decoded=raw), feed=turntable.frames((*range(-count, 0), 0)),
               timeout=deadline.left(), stop=stop, limits=IN_THE_BACKGROUND)
    data, written = b"", raw.stat().st_size if raw.exists() else 0
    if written == size * (count + 1):
        with raw.open("rb") as pictures:
            pictures.seek(size * (count - lead))
            data = pictures.read()
    for file in (video, raw):
        file.unlink(missing_ok=True)
    if len(data) != size * (lead + 1):
        raise RenderError("output_invalid", "the turn's first picture was not written: is there room in the temporary folder?",
                          f"{written} bytes of {size * (count + 1)}")
    return [data[at : at + size] for at in range(0, len(data), size)]


def is_turn(path: Path, spec: VideoSpec) -> bool:
    """Whether the file is a whole turn: a disk can damage what was once written right."""
    try:
        track = read_movie(path).track("vide")
    except RenderError:
        return False
    return track is not None and track.samples == spec.turn_frames


@dataclass(frozen=True)
class TurnCache:
    """Turns in a local folder, the longest unused removed above `most` bytes. Any number of processes may share it."""

    folder: Path
    most: int = CACHE_BYTES

    def path(self, key: str) -> Path:
        return self.folder / f"turn-{key}.mp4"

    def fetch(self, key: str, spec: VideoSpec, to: Path) -> bool:
        """Copy a turn out, so that its removal cannot hurt a render that uses it. False when there is none."""
        try:
            shutil.copyfile(self.path(key), to)
            os.utime(self.path(key))
        except OSError:
            return False
        if is_turn(to, spec):
            return True
        self.path(key).unlink(missing_ok=True)
        return False

    def store(self, key: str, turn: Path) -> Path:
        """Keep a turn, whole or not at all; two makers of one turn write the same thing twice.

        Raises RenderError output_unwritable.
        """
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
        with new_file(self.path(key)) as part:
            shutil.copyfile(turn, part)
        self._shrink(keep=self.path(key))
        return self.path(key)

    def _shrink(self, keep: Path) -> None:
        turns = []
        for path in self.folder.glob("turn-*.mp4"):
            with suppress(OSError):
                turns.append((path.stat().st_mtime, path.stat().st_size, path))
        total = sum(size for _, size, _ in turns)
        for _, size, path in sorted(turns):
            if total > self.most and path != keep:
                path.unlink(missing_ok=True)
                total -= size


def turn_key(photo: bytes, spec: VideoSpec) -> str:
    """A name for exactly this turn: the bytes of photo and artwork, the figures and letters that shape it, and the code."""
    figures = (spec.format, spec.width, spec.height, spec.fps, spec.turn_frames, spec.crf, spec.photo_size, spec.record_size)
    letters = (spec.shown_caption, fonts.fingerprint()) if spec.shown_caption else ()
    digest = hashlib.sha256(f"{_code()} {figures} {letters}".encode(errors="surrogatepass"))
    for name, data in (("photo", photo), *((p.name, pictures.read_artwork(p)) for p in _artwork(spec))):
        digest.update(f"\n{name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()[:40]


def _artwork(spec: VideoSpec) -> tuple[Path, ...]:
    return spec.background, spec.record, spec.needle


@cache
def _code() -> str:
    modules = (backdrop, commands, fonts, lettering, pictures, record)
    files = (Path(__file__), *(Path(module.__file__ or "") for module in modules))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
