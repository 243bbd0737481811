"""Damaged songs and photos against everything that reads them: each must end as a result or as one refusal.

    scripts/fuzz media [--count 2000] [--seed 1] [--render] [--keep DIR]

Every other input is a song, which goes through the renderer's check and, with --render, on into a video when it is
accepted; the others are photos for the site's rebuild and for the renderer's scene. Input N of a seed is always the
same bytes: `--only N` repeats it. Anything but a result or a known refusal is a violation, and so are more than the
time limit and 2 s, a process or a file left behind. Prints one JSON line; ends with 1 on violations.
"""

import argparse
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from petsong.photos import SIDE, PhotoError, safe_square_jpeg
from render.audio import check_song, gain_plan, sound_filter
from render.ffmpeg import find_ffmpeg
from render.record import make_scene, read_photo
from render.spec import PERMANENT, RenderError, VideoSpec
from render.video import render_video
from scripts.fuzzing import mutations, seeds

LIMIT = 60.0  # seconds for one reader of one input, on a busy machine too
SLACK = 2.0
SHOWN = 20


class Violation(Exception):
    """What must not happen, in words."""


@dataclass
class Bench:
    """The room of one run: seed files, artwork and where the readers may leave nothing."""

    room: Path
    seed: int
    render: bool
    ffmpeg: str = field(default_factory=find_ffmpeg)

    def __post_init__(self) -> None:
        self.songs = seeds.songs(self.ffmpeg, self.room)
        self.photos = seeds.photos()
        art = [self.room / f"{name}.png" for name in ("background", "record", "needle")]
        for path, colour in zip(art, ("navy", "#202020", "#00000000"), strict=True):
            Image.new("RGBA", (64, 64), colour).save(path)
        background, record, needle = art
        self.spec = VideoSpec(background, record, needle, size=64, fps=2)
        (self.room / "pet.jpg").write_bytes(self.photos[0])
        self.scratch = self.room / "scratch"
        self.scratch.mkdir()
        self.before = _children()

    def input(self, number: int) -> bytes:
        rng = random.Random(f"{self.seed}/{number}")
        good, ways = (self.songs, mutations.OF_SONGS) if number % 2 == 0 else (self.photos, mutations.OF_PHOTOS)
        return mutations.mutate(rng, rng.choice(good), self.songs + self.photos, ways)

    def read(self, number: int, data: bytes) -> list[str]:
        """The outcomes of every reader of one input: "accepted" or codes of refusals. Raises Violation."""
        if number % 2:
            return [_in_time("site", lambda: rebuild(data)), _in_time("renderer", lambda: self._scene(data))]
        return [_in_time("check", lambda: self._song(data))]

    def _song(self, data: bytes) -> str:
        path = self.room / "input.mp3"
        path.write_bytes(data)
        try:
            report = check_song(path, ffmpeg=self.ffmpeg, timeout=LIMIT)
        except RenderError as error:
            return _refusal(error)
        sound_filter(gain_plan(report, self.spec), report)
        json.dumps(report.as_dict(), allow_nan=False)
        if not (10 <= report.seconds < 36_000 and 0 <= report.silent_share <= 0.9):
            raise Violation(f"accepted with {report}")
        if self.render:
            self._video(path, report)
        return "accepted"

    def _video(self, song: Path, report: Any) -> None:
        try:
            render_video(self.room / "pet.jpg", song, self.scratch / "o.mp4", self.spec, ffmpeg=self.ffmpeg, report=report,
                         cache=self.room / "turns", timeout=LIMIT)
        except RenderError as error:
            raise Violation(f"accepted, but not rendered: {error} [{error.code}] {error.detail[-300:]}") from None
        (self.scratch / "o.mp4").unlink()

    def _scene(self, data: bytes) -> str:
        path = self.room / "input.img"
        path.write_bytes(data)
        try:
            make_scene(read_photo(path), self.spec)
        except RenderError as error:
            return _refusal(error)
        return "accepted"

    def traces(self) -> list[str]:
        """Files that a reader left, and processes."""
        return os.listdir(self.scratch) + [pid for pid in _children() if pid not in self.before]


def _children() -> list[str]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return file.read().split()


def rebuild(data: bytes) -> str:
    try:
        made = safe_square_jpeg(data)
    except PhotoError as error:
        return error.reason
    with Image.open(io.BytesIO(made)) as picture:
        if (picture.format, picture.mode, picture.size) != ("JPEG", "RGB", (SIDE, SIDE)):
            raise Violation(f"rebuilt as {picture}")
    return "accepted"


def _refusal(error: RenderError) -> str:
    if error.code not in PERMANENT:
        raise Violation(f"not refused but failed: {error} [{error.code}] {error.detail[-300:]}")
    if "\n" in str(error) or not str(error).isprintable():
        raise Violation(f"a reason that is not one readable line: {str(error)!r}")
    return error.code


def _in_time(reader: str, read: Callable[[], str]) -> str:
    """The outcome with the reader's name. Raises Violation for anything unexpected, and for a hang."""

    def ring(number: int, frame: object) -> None:
        raise Violation(f"{reader} took longer than {LIMIT + SLACK:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LIMIT + SLACK)
    try:
        return f"{reader}: {read()}"
    except Violation:
        raise
    except Exception as error:  # the very thing that is looked for
        raise Violation(f"{reader} raised {error!r}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz(bench: Bench, numbers: range | list[int], keep: Path | None = None) -> dict[str, Any]:
    """Read all inputs; the figures of the run, ready for JSON."""
    outcomes: Counter[str] = Counter()
    violations: list[str] = []
    worst, slowest = 0.0, -1
    for number in numbers:
        data, began = bench.input(number), time.monotonic()
        try:
            outcomes.update(bench.read(number, data))
            if left := bench.traces():
                raise Violation(f"left behind: {left}")
        except Violation as violation:
            violations.append(f"{number}: {violation}")
            if keep:
                (keep / str(number)).write_bytes(data)
        worst, slowest = max((worst, slowest), (time.monotonic() - began, number))
    peak = max(_own_peak_kb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return {"fuzz": "media", "seed": bench.seed, "inputs": len(numbers), "outcomes": dict(sorted(outcomes.items())),
            "worst_s": round(worst, 2), "slowest": slowest, "peak_mb": round(peak / 1024),
            "violations": len(violations), "first": violations[:SHOWN]}


def _own_peak_kb() -> int:
    """Not ru_maxrss: the kernel counts into it what the process was before exec, and so the size of whoever started us."""
    line, = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("scripts/fuzz media", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="inputs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the damage (default: %(default)s)")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="number of the first input (default: %(default)s)")
    parser.add_argument("--only", type=int, metavar="N", help="read input N alone")
    parser.add_argument("--render", action="store_true", help="make videos of the songs that are accepted")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave inputs that violate here")
    args = parser.parse_args(argv)
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="petsong-fuzz-") as folder:
        numbers = range(args.start, args.start + args.count) if args.only is None else [args.only]
        figures = fuzz(Bench(Path(folder), args.seed, args.render), numbers, args.keep)
    print(json.dumps(figures))
    return 1 if figures["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
