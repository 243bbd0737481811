"""Word timing → WebVTT, a line a cue, so that the words stand under the video while they are sung."""
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
    text = " ".join(LABEL.sub("", word["word"]).strip() for word in line)
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") or "♪"


def _clock(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"
