"""petsong on this machine, with a stand-in for the song service: `scripts/demo` calls this in the virtual environment.

Without options the site stays up until Ctrl-C; with --once one song is made and all is shut down again. Then the
standard output carries exactly one JSON line; everything for people goes to the standard error.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from scripts.cartoon import cartoon_pet
from scripts.one_song import Order, Progress, SongFailed, Visitor
from scripts.servers import ServerError
from scripts.stack import ROOT, Stack, StackError
from scripts.supervisor import StartError


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("scripts/demo", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--once", action="store_true", help="make one song, print one JSON line, end")
    parser.add_argument("--photo", type=Path, metavar="FILE", help="JPG or PNG, at least 400x400 (default: a cartoon)")
    parser.add_argument("--pet", default="Biscuit", metavar="NAME")
    parser.add_argument("--type", default="Dog", metavar="TYPE", help="Dog, Cat, Bird, Fish, Other")
    parser.add_argument("--vibe", default="Romantic", help="Chill, Energetic, Romantic, Party, Relaxing, Other")
    parser.add_argument("--owner", default="Robin", metavar="NAME")
    parser.add_argument("--state", type=Path, metavar="DIR", help="where it keeps its data (default: .petsong/demo)")
    parser.add_argument("--generate-seconds", type=float, default=20.0, metavar="S", help="a song takes (default: 20)")
    parser.add_argument("--fast", action="store_true", help="the same as --generate-seconds 0")
    parser.add_argument("--timeout", type=float, default=900.0, metavar="S", help="--once gives up (default: 900)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    options = arguments(sys.argv[1:] if argv is None else argv)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        photo = read_photo(options.photo) if options.photo else cartoon_pet()
        stack = Stack(_state_folder(options), settings=_settings(options), sandbox=_sandbox(options), say=say)
        return _run(stack, options, photo)
    except (StackError, StartError, ServerError) as error:
        say(f"{error}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130 if options.once else 0


def _run(stack: Stack, options: argparse.Namespace, photo: bytes) -> int:
    began = time.monotonic()
    try:
        say("starting …")
        stack.start()
        say(f"ready in {time.monotonic() - began:.1f} s")
        if options.once:
            order = Order(photo, options.pet, options.type, options.vibe, options.owner)
            return make_one_song(stack, order, options.timeout)
        say(f"\n    petsong is at {stack.url}\n\nlogs: {stack.folder / 'logs'} · Ctrl-C ends it")
        while True:
            signal.pause()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave the half of it running
        stack.stop()


def make_one_song(stack: Stack, order: Order, seconds: float) -> int:
    """Exit code 0 with a JSON line, or 1 with a line that says which stage and why (and JSON, once it was taken)."""
    progress, video, problem = None, None, ""
    try:
        with Visitor(stack.url) as visitor:
            progress = visitor.submit(order)
            visitor.follow(progress, stages_shown(), seconds)
            video = visitor.fetch_video(progress.session_id, stack.videos)
    except SongFailed as error:
        problem = str(error)
        say(f"{chr(10) if sys.stderr.isatty() else ''}failed in {problem}")  # below the live line
    if progress is not None:
        print(json.dumps(_report(stack, progress, video)), flush=True)
    return 1 if problem else 0


def _report(stack: Stack, progress: Progress, video: Path | None) -> dict[str, object]:
    return {
        "session_id": progress.session_id,
        "status": "success" if video else "fail",
        "video": str(video) if video else None,
        "result_url": f"{stack.url}/result/{progress.session_id}",
        "seconds": progress.report(),
    }


def stages_shown() -> Callable[[Progress], None]:
    """A function that shows progress: one live line on a terminal, else a line for every new stage."""
    live, last = sys.stderr.isatty(), ""

    def show(progress: Progress) -> None:
        nonlocal last
        spent = time.monotonic() - progress.began
        if live:
            start = "\n" if last not in ("", progress.stage) else "\r\033[K"  # a stage that is over keeps its line
            line = f"{start}{spent:6.1f} s  {progress.stage}  {progress.percent} %"
            print(line, end="\n" if progress.stage == "done" else "", file=sys.stderr, flush=True)
        elif progress.stage != last:
            say(f"{spent:6.1f} s  {progress.stage}")
        last = progress.stage

    return show


def say(line: str) -> None:
    """For people; a terminal that was closed meanwhile must not keep us from cleaning up."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def read_photo(path: Path) -> bytes:
    """Raises StackError with the way out."""
    try:
        return _from_caller(path).read_bytes()
    except OSError as error:
        raise StackError(f"--photo {path}: {error.strerror}; name a JPG or PNG file") from error


def _state_folder(options: argparse.Namespace) -> Path:
    return _from_caller(options.state).resolve() if options.state else ROOT / ".petsong" / "demo"


def _from_caller(path: Path) -> Path:
    """scripts/demo changes to the project's folder; paths were meant from where it was called."""
    return Path(os.environ.get("DEMO_CALLED_FROM", "."), path)


def _settings(options: argparse.Namespace) -> dict[str, str]:
    """`--once` ends with the square video, so further formats would only be begun."""
    return {"VIDEO_FORMATS": os.environ.get("VIDEO_FORMATS") or "square"} if options.once else {}


def _sandbox(options: argparse.Namespace) -> list[str]:
    """`--fast` takes a tune per vibe that is made once; otherwise every order gets a song composed for it."""
    tune, seconds = ("premade", 0.0) if options.fast else ("compose", options.generate_seconds)
    return ["--generate-seconds", f"{seconds:g}", "--tune", tune, "--credits", "1000000"]


if __name__ == "__main__":
    sys.exit(main())
