"""Word timing → WebVTT, a line a cue, each later word with its own time stamp.

Browsers show the lines under the video; the result page reads the same file to light up the words while they are sung.
"""
import re
from collections.abc import Iterator, Sequence
from typing import Any

LABEL = re.compile(r"\[[^\]]*\]\s*")
WORDS_PER_CUE = 9
PAUSE_SECONDS = 1.5


def as_webvtt(words: Sequence[dict[str, Any]]) -> str:
    """`words`: [{"word", "start", "end"}] in seconds; a word may carry a line break behind or a [Section] before it."""
    cues = (f"{_clock(line[0]['start'])} --> {_clock(line[-1]['end'])}\n{_text(line)}\n" for line in _lines(words))
    return "WEBVTT\n\n" + "\n".join(cues)


def _lines(words: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    line: list[dict[str, Any]] = []
    for word in words:
        if line and (word["start"] - line[-1]["end"] > PAUSE_SECONDS or len(line) >= WORDS_PER_CUE):
            yield line
            line = []
        line.append(word)
        if word["word"].endswith("\n"):
            yield line
            line = []
    if line:
        yield line


def _text(line: list[dict[str, Any]]) -> str:
    """The words, each but the first after its <time>, where that lies between its neighbour's and the end, as it must."""
    parts: list[str] = []
    last, end = _thousandths(line[0]["start"]), _thousandths(line[-1]["end"])
    for word in line:
        text = " ".join(LABEL.sub("", word["word"]).split())
        if not text:
            continue
        start = _thousandths(word["start"])
        stamp = f"<{_clock(word['start'])}>" if last < start < end else ""
        last = max(last, start)
        parts.append(stamp + text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    return " ".join(parts) or "♪"


def _thousandths(seconds: float) -> int:
    return round(seconds * 1000)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(_thousandths(seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"
