"""What a video is made of, and how a render fails. Imports nothing else of this package."""

import re
from dataclasses import dataclass
from pathlib import Path

ARTWORK_SIDE = 1080  # the scale at which photo_size, record_size and the artwork are given
RECORD_SIDE = 736  # the record that needle.png is drawn for, at that scale
MAX_TURN_FRAMES = 1800


@dataclass(frozen=True)
class Format:
    """A screen to make a video for.

    `width` and `height` in pixels, 0 for the spec's `size`. `disc` is the record's diameter in pixels, 0 for
    `record_size` at the artwork's scale; `middle` is how far down its middle lies, in pixels, 0 for half-way.
    `caption` is where text may stand: left, top, right, bottom in pixels, or None where there is none.
    """

    width: int = 0
    height: int = 0
    disc: int = 0
    middle: int = 0
    caption: tuple[int, int, int, int] | None = None


# Of a story, apps cover about the upper 14 % and the lower 20 %, and a strip of 12 % on the right with their buttons:
# record, needle and text lie between, the text in the middle of the whole width.
FORMATS = {
    "square": Format(),
    "hd": Format(width=1080, height=1080),
    "story": Format(width=1080, height=1920, disc=776, middle=730, caption=(130, 1176, 950, 1526)),
}
MAX_CAPTION = 400  # characters of a line

# Trying again cannot help these: the input itself has to change.
PERMANENT = frozenset({"audio_undecodable", "audio_cut", "audio_silent", "audio_too_short", "photo_unreadable"})


class RenderError(Exception):
    """A render that failed: `code` for programs, str() one readable line, `detail` (argv and stderr) for a log.

    Codes: audio_undecodable, audio_cut, audio_silent, audio_too_short, photo_unreadable, artwork_unreadable,
    ffmpeg_missing, ffmpeg_failed, render_timeout, render_stopped, output_invalid, output_unwritable.
    """

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(code, message, detail)
        self.code = code
        self.message = message
        self.detail = detail

    def __str__(self) -> str:
        return self.message

    @property
    def permanent(self) -> bool:
        """True when the same photo and song would fail again."""
        return self.code in PERMANENT


@dataclass(frozen=True)
class VideoSpec:
    """The look and sound of a video. Raises ValueError naming the field when a value cannot be rendered.

    `size` is the side of the square video in pixels; `photo_size` and `record_size` are pixels at 1080 scale.
    `format` is a key of FORMATS; `caption` are lines of text, the first one large, shown where the format has room.
    """

    background: Path
    record: Path
    needle: Path
    size: int = 720
    fps: int = 30
    rpm: float = 20
    crf: int = 28
    photo_size: int = 360
    record_size: int = 736
    audio_bitrate: str = "192k"
    loudness_lufs: float = -14.0
    true_peak_db: float = -1.0
    format: str = "square"
    caption: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._between("size", 64, 2160)
        self._between("fps", 1, 60)
        self._between("rpm", 1, 120)
        self._between("crf", 0, 51)
        self._between("record_size", 64, ARTWORK_SIDE)
        self._between("photo_size", 16, self.record_size)
        self._between("loudness_lufs", -40, -5)
        self._between("true_peak_db", -9, 0)
        if self.size % 2:
            raise ValueError(f"size must be even, for the video's colour planes are half as large: {self.size}")
        if not re.fullmatch(r"[1-9]\d{1,2}k", self.audio_bitrate) or not 32 <= int(self.audio_bitrate[:-1]) <= 320:
            raise ValueError(f"audio_bitrate must be 32k to 320k, such as 192k: {self.audio_bitrate!r}")
        if self.format not in tuple(FORMATS):
            raise ValueError(f"format must be one of {', '.join(FORMATS)}: {self.format!r}")
        if not isinstance(self.caption, tuple) or not all(isinstance(line, str) for line in self.caption):
            raise ValueError(f"caption must be a tuple of lines, such as ('Biscuit', 'with love from Robin'): {self.caption!r}")
        if any(len(line) > MAX_CAPTION for line in self.caption):
            raise ValueError(f"caption must have lines of at most {MAX_CAPTION} characters")
        if self.turn_frames > MAX_TURN_FRAMES:
            raise ValueError(f"rpm {self.rpm:g} at {self.fps} fps makes {self.turn_frames} frames a turn;"
                             f" at most {MAX_TURN_FRAMES}: raise rpm or lower fps")

    def _between(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        whole = name not in ("rpm", "loudness_lufs", "true_peak_db")
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise ValueError(f"{name} must be a {'whole ' if whole else ''}number: {value!r}")
        if not low <= value <= high:
            raise ValueError(f"{name} must be from {low:g} to {high:g}: {value!r}")

    @property
    def width(self) -> int:
        """Of the video, in pixels."""
        return FORMATS[self.format].width or self.size

    @property
    def height(self) -> int:
        """Of the video, in pixels."""
        return FORMATS[self.format].height or self.size

    @property
    def shown_caption(self) -> tuple[str, ...]:
        """The lines that this format shows: none where it has no room for text."""
        return self.caption if FORMATS[self.format].caption else ()

    @property
    def turn_frames(self) -> int:
        """Frames in one turn: whole, so that the last is followed by the first without a jump."""
        return max(2, round(60 * self.fps / self.rpm))

    @property
    def actual_rpm(self) -> float:
        """The speed that whole frames allow; equals `rpm` where 60 * fps / rpm is whole."""
        return 60 * self.fps / self.turn_frames

    @property
    def notes(self) -> tuple[str, ...]:
        """What was rounded, in words for a person."""
        if abs(self.actual_rpm - self.rpm) < 0.005:
            return ()
        return (f"{self.rpm:g} RPM at {self.fps} fps is not a whole number of frames a turn: "
                f"{self.actual_rpm:.2f} RPM ({self.turn_frames} frames)",)
