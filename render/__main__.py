"""python -m render PHOTO SONG OUT.mp4, and python -m render check SONG: the renderer without the app."""

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from render import cli_check
from render.cli import ARTWORK, guarded, parser, progress_bar, spec_with
from render.ffmpeg import find_ffmpeg
from render.spec import FORMATS
from render.video import VideoFacts, make_poster, make_preview, render_video


def arguments(argv: list[str]) -> argparse.Namespace:
    made = parser("python -m render", "Render a photo turning on a record to a song; `python -m render check SONG.mp3`"
                  " tells what is to be heard in one.")
    made.add_argument("photo", type=Path, help="JPEG or PNG of any size; the middle square is used")
    made.add_argument("song", type=Path, help="MP3 of at least 10 seconds")
    made.add_argument("out", type=Path, help="the MP4 to write")
    made.add_argument("--format", choices=FORMATS, default="square",
                      help="square (--size), hd (1080x1080) or story (1080x1920) (default: %(default)s)")
    made.add_argument("--caption", action="append", default=[], metavar="LINE",
                      help="a line of text below the record of a story, the first one large; may be given again")
    for name, kind, default, what in (
        ("size", int, 720, "side of a square video in pixels, even"), ("fps", int, 30, "frames per second"),
        ("rpm", float, 20, "turns per minute"), ("crf", int, 28, "x264 quality, lower is better and larger"),
        ("timeout", float, 120, "seconds for everything"),
    ):
        made.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"{what} (default: %(default)s)")
    made.add_argument("--poster", type=Path, metavar="FILE", help="write the record at rest, too, as a JPEG")
    made.add_argument("--preview", type=Path, metavar="FILE", help="write the 1200x630 picture for links, too, as a JPEG")
    made.add_argument("--assets", type=Path, default=ARTWORK, metavar="DIR",
                      help="folder of background.png, record.png, needle.png (default: the Valentine's campaign)")
    made.add_argument("--cache", type=Path, metavar="DIR", help="folder that keeps encoded turns for the next time")
    return made.parse_args(argv)


def make(args: argparse.Namespace) -> VideoFacts:
    """The video, then the pictures that were asked for."""
    spec = spec_with(args.assets, size=args.size, fps=args.fps, rpm=args.rpm, crf=args.crf, format=args.format,
                     caption=tuple(args.caption))
    for note in spec.notes:
        print(f"note: {note}", file=sys.stderr)
    with progress_bar() as progress:
        facts = render_video(args.photo, args.song, args.out, spec, ffmpeg=find_ffmpeg(args.ffmpeg), cache=args.cache,
                             timeout=args.timeout, progress=progress)
    for picture, file in ((make_poster, args.poster), (make_preview, args.preview)):
        if file:
            picture(args.photo, spec, file)
    return facts


def report(facts: VideoFacts, args: argparse.Namespace) -> None:
    if args.json:
        files = {"path": args.out, "poster": args.poster, "preview": args.preview}
        print(json.dumps(asdict(facts) | {"report": facts.report.as_dict()}
                         | {name: file and str(file) for name, file in files.items()}))
        return
    gain = "" if facts.gain["mode"] == "none" else f", {facts.gain['mode']} gain {facts.gain['gain_db']:+.1f} dB"
    print(f"{args.out}: {facts.seconds:.2f} s, {facts.frames} frames, {facts.bytes / 1024**2:.1f} MB{gain}")


def main(argv: list[str]) -> int:
    if argv[:1] == ["check"]:  # a photo of that name is ./check
        return cli_check.main(argv[1:])
    args = arguments(argv)
    return guarded(lambda: report(make(args), args), args.json)


def end(number: int, frame: object) -> None:
    """By an exception, so that temporary files go."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    sys.exit(main(sys.argv[1:]))
