"""What the renderer's commands share: exit codes, one-line errors, a progress bar."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from render.spec import RenderError, VideoSpec

ARTWORK = Path(__file__).resolve().parent.parent / "petsong" / "campaigns" / "valentines" / "art"
EXIT_CODES = """exit codes:
  0    done
  1    failed for a passing reason: ffmpeg, the disk, the time limit
  2    wrong arguments, or artwork that cannot be read
  3    the photo cannot be used
  4    the song cannot be used
  5    ffmpeg was not found
  130  interrupted (SIGINT); 143 ended (SIGTERM)
"""
EXIT_BY_CODE = {"photo_unreadable": 3, "ffmpeg_missing": 5, "artwork_unreadable": 2, "wrong_arguments": 2}


def parser(name: str, about: str) -> argparse.ArgumentParser:
    """A parser whose help ends with the exit codes."""
    made = argparse.ArgumentParser(name, description=about, epilog=EXIT_CODES,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--ffmpeg", default="", metavar="FILE", help="default: PATH, else imageio-ffmpeg's")
    made.add_argument("--json", action="store_true", help='print one JSON line; of a failure {"error": …, "message": …}')
    return made


def spec_with(artwork: Path = ARTWORK, **values: Any) -> VideoSpec:
    """A spec with the three layers of one folder. Raises RenderError wrong_arguments."""
    try:
        return VideoSpec(artwork / "background.png", artwork / "record.png", artwork / "needle.png", **values)
    except ValueError as error:
        raise RenderError("wrong_arguments", str(error)) from None


def guarded(command: Callable[[], None], as_json: bool) -> int:
    """Run a command; an expected failure becomes one line on stderr. Returns the exit code."""
    try:
        command()
    except RenderError as error:
        if as_json:
            print(json.dumps({"error": error.code, "message": str(error)}))
        print(f"error: {error} [{error.code}]", file=sys.stderr)
        return 4 if error.code.startswith("audio_") else EXIT_BY_CODE.get(error.code, 1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


@contextmanager
def progress_bar() -> Iterator[Callable[[float], None] | None]:
    """Something to tell fractions to: a bar that redraws itself on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    open_line = False

    def show(done: float) -> None:
        nonlocal open_line
        open_line = done < 1
        bar = "#" * round(30 * done)
        print(f"\r[{bar:<30}] {done:4.0%}", end="" if open_line else "\n", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if open_line:  # what comes next is an error, and deserves a line of its own
            print(file=sys.stderr)
