"""Word timing → WebVTT that browsers take."""
import re
from typing import Any

import pytest

from petsong.captions import as_webvtt

CUE = re.compile(r"\d\d+:\d\d:\d\d\.\d{3} --> \d\d+:\d\d:\d\d\.\d{3}")


def words(*texts: str, pause: float = 0.1, length: float = 0.4) -> list[dict[str, Any]]:
    step = pause + length
    return [{"word": text, "start": number * step, "end": number * step + length} for number, text in enumerate(texts)]


STAMP = re.compile(r"<(\d\d:\d\d:\d\d\.\d{3})>")


def cues(timing: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """[(times, words)] of the file, whose form is checked on the way."""
    return [(times, STAMP.sub("", text)) for times, text in stamped(timing)]


def stamped(timing: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The same with the words' own times."""
    head, *blocks = as_webvtt(timing).rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    found = []
    for block in blocks:
        times, text = block.split("\n")
        assert CUE.fullmatch(times) and text
        found.append((times, text))
    return found


def test_no_words_are_an_empty_file() -> None:
    assert as_webvtt([]) == "WEBVTT\n\n"


def test_a_line_is_a_cue_from_its_first_word_to_its_last() -> None:
    assert cues(words("Marisol", "wakes\n", "Biscuit", "waits")) == [
        ("00:00:00.000 --> 00:00:00.900", "Marisol wakes"), ("00:00:01.000 --> 00:00:01.900", "Biscuit waits"),
    ]


def test_each_later_word_of_a_line_carries_its_time() -> None:
    assert stamped(words("Marisol", "[Chorus] wakes", "up")) == [
        ("00:00:00.000 --> 00:00:01.400", "Marisol <00:00:00.500>wakes <00:00:01.000>up"),
    ]


@pytest.mark.parametrize("starts", [(1, 1, 1), (1, 0.5, 2), (1, 3, 3), (1, 2, 2)])
def test_times_that_a_browser_would_refuse_are_left_out(starts: tuple[float, ...]) -> None:
    """Within a cue they rise, after its beginning and before its end."""
    timing = [{"word": f"la{number}", "start": start, "end": 2.0} for number, start in enumerate(starts)]
    ((times, text),) = stamped(timing)
    assert STAMP.sub("", text) == "la0 la1 la2"
    found = ["00:00:01.000", *STAMP.findall(text), "00:00:02.000"]
    assert found == sorted(set(found)), times


def test_a_pause_begins_a_new_cue() -> None:
    timing = words("one", "two")
    timing.append({"word": "three", "start": 5.0, "end": 6.0})
    assert [text for _, text in cues(timing)] == ["one two", "three"]


def test_a_cue_stays_readable() -> None:
    assert [len(text.split()) for _, text in cues(words(*["la"] * 20))] == [9, 9, 2]


def test_section_labels_are_not_sung() -> None:
    assert [text for _, text in cues(words("[Verse 1]\n", "[Chorus] Oh", "dear", "[x]yes"))] == ["♪", "Oh dear yes"]


@pytest.mark.parametrize(("word", "shown"), [
    ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"), ("a&b", "a&amp;b"), ("-->", "--&gt;"), ("रानी", "रानी"), ("", "♪"), ("  ", "♪"),
    ("a\r\nb", "a b"), ("a\n\nNOTE b", "a NOTE b"), ("a\tb\x0bc\u2028d", "a b c d"),
])
def test_words_cannot_leave_their_cue(word: str, shown: str) -> None:
    assert [text for _, text in cues(words(word, "end"))][0].removesuffix(" end") == shown.removesuffix("♪") or shown == "♪"


@pytest.mark.parametrize(("seconds", "clock"), [
    (0, "00:00:00.000"), (0.0004, "00:00:00.000"), (59.9996, "00:01:00.000"), (61.25, "00:01:01.250"),
    (3599.9999, "01:00:00.000"),
    (360_000, "100:00:00.000"),
])
def test_times_are_rounded_to_thousandths_with_their_carry(seconds: float, clock: str) -> None:
    assert cues([{"word": "la", "start": seconds, "end": seconds}]) == [(f"{clock} --> {clock}", "la")]
