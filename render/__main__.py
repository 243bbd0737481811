"""python -m render PHOTO SONG OUT.mp4: the renderer without the app."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from render.ffmpeg import find_ffmpeg
from render.spec import RenderError, VideoSpec
from render.video import VideoFacts, render_video

ARTWORK = Path(__file__).resolve().parent.parent / "petsong" / "campaigns" / "valentines" / "art"
EXIT_CODES = """exit codes:
  0    the video is there
  1    rendering failed: ffmpeg, the disk, the time limit
  2    wrong arguments
  3    the photo cannot be used
  4    the song cannot be used
  5    ffmpeg was not found
  130  interrupted
"""


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m render", description="Render a photo turning on a record to a song.",
                                     epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, help="JPEG or PNG of any size; the middle square is used")
    parser.add_argument("song", type=Path, help="MP3 of at least 10 seconds")
    parser.add_argument("out", type=Path, help="the MP4 to write")
    for name, kind, default, what in (
        ("size", int, 720, "side of the video in pixels, even"), ("fps", int, 30, "frames per second"),
        ("rpm", float, 20, "turns per minute"), ("crf", int, 28, "x264 quality, lower is better and larger"),
        ("timeout", float, 120, "seconds for everything"),
    ):
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"{what} (default: %(default)s)")
    parser.add_argument("--assets", type=Path, default=ARTWORK, metavar="DIR",
                        help="folder of background.png, record.png, needle.png (default: the Valentine's campaign)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder that keeps encoded turns for the next time")
    parser.add_argument("--ffmpeg", default="", metavar="FILE", help="default: PATH, else imageio-ffmpeg's")
    parser.add_argument("--json", action="store_true", help="print what was made as one JSON line")
    return parser.parse_args(argv)


def exit_code(code: str) -> int:
    """The exit code for a RenderError's code."""
    if code.startswith("audio_"):
        return 4
    return {"photo_unreadable": 3, "ffmpeg_missing": 5}.get(code, 1)


def progress_line() -> Callable[[float], None] | None:
    """A bar that redraws itself on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(done: float) -> None:
        bar = "#" * round(30 * done)
        print(f"\r[{bar:<30}] {done:4.0%}", end="\n" if done >= 1 else "", file=sys.stderr, flush=True)

    return show


def report(facts: VideoFacts, out: Path, as_json: bool) -> None:
    if as_json:
        song = facts.report.as_dict()
        print(json.dumps(asdict(facts) | {"report": song, "path": str(out)}))
    elif facts.gain["mode"] != "none":
        print(f"{out}: {facts.seconds:.2f} s, {facts.frames} frames, {facts.bytes / 1024**2:.1f} MB,"
              f" {facts.gain['mode']} gain {facts.gain['gain_db']:+.1f} dB")
    else:
        print(f"{out}: {facts.seconds:.2f} s, {facts.frames} frames, {facts.bytes / 1024**2:.1f} MB")


def make(args: argparse.Namespace) -> VideoFacts:
    spec = VideoSpec(args.assets / "background.png", args.assets / "record.png", args.assets / "needle.png",
                     size=args.size, fps=args.fps, rpm=args.rpm, crf=args.crf)
    for note in spec.notes:
        print(f"note: {note}", file=sys.stderr)
    return render_video(args.photo, args.song, args.out, spec, ffmpeg=find_ffmpeg(args.ffmpeg), cache=args.cache,
                        timeout=args.timeout, progress=progress_line())


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    try:
        report(make(args), args.out, args.json)
    except RenderError as error:
        print(f"error: {error} [{error.code}]", file=sys.stderr)
        return exit_code(error.code)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
