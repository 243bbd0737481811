"""Photo + MP3 → MP4: one turn is encoded once and its packets are repeated beside the song's sound."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from render import commands
from render.audio import AudioReport, Gain, check_song, gain_plan, output_rate, sound_filter, sound_spec
from render.ffmpeg import Deadline, run_ffmpeg
from render.files import new_file, work_room
from render.pictures import read_photo
from render.probe import read_movie, tags_end
from render.record import make_poster, make_preview
from render.spec import RenderError, VideoSpec
from render.turns import CACHE_BYTES, TurnCache, make_turn, turn_key

__all__ = ["VideoFacts", "make_poster", "make_preview", "prepare_turn", "render_video"]

Progress = Callable[[float], None]
T = TypeVar("T")
READ_BYTES = 65536
LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class VideoFacts:
    """A finished video: length in seconds and frames, file size, what was done to the loudness, the real speed."""

    seconds: float
    frames: int
    bytes: int
    gain: dict[str, Any]
    rpm: float
    turn_was_ready: bool
    report: AudioReport


def prepare_turn(
    photo: Path,
    spec: VideoSpec,
    cache: Path | None,
    *,
    ffmpeg: str,
    timeout: float = 120,
    cache_bytes: int = CACHE_BYTES,
) -> Path:
    """The encoded turn of this photo, made now unless `cache` has it; render_video finds it there by itself.

    Without `cache` the file is a new one in the temporary folder, and the caller's to remove.
    Raises RenderError photo_unreadable, artwork_unreadable, output_unwritable or what run_ffmpeg raises.
    """
    data = read_photo(photo)
    turns = TurnCache(cache, cache_bytes) if cache else None
    key = turn_key(data, spec) if turns else ""
    with work_room() as room:
        turn = room / "turn.mp4"
        if turns and turns.fetch(key, spec, turn):
            return turns.path(key)
        make_turn(data, spec, turn, ffmpeg=ffmpeg, deadline=Deadline(timeout))
        if turns:
            return turns.store(key, turn)
        handle, name = tempfile.mkstemp(prefix="petsong-turn-", suffix=".mp4")
        os.close(handle)
        os.replace(turn, name)
        return Path(name)


def render_video(
    photo: Path,
    song: Path,
    out: Path,
    spec: VideoSpec,
    *,
    ffmpeg: str,
    report: AudioReport | None = None,
    cache: Path | None = None,
    timeout: float = 120,
    progress: Progress | None = None,
    sound: Path | None = None,
) -> VideoFacts:
    """Render `photo` and `song` into `out`, which appears whole or not at all.

    1. With this photo's turn in `cache`, one ffmpeg encodes the sound and repeats the turn beside it.
    2. Otherwise the turn and the sound (its check first, unless `report` is given) are made side by side, and muxed as the
       sound grows.
    3. The result is read back, synced and renamed; a new turn is kept in `cache`.
    `sound` is a finished video of the same song: its sound is copied. Where that does not have the song's length, or
    cannot be read, the sound is encoded as if it had not been given.
    `progress` gets 0 to 1, rising, from any thread. `timeout` in seconds is for everything together.
    Raises RenderError with any code but ffmpeg_missing; nothing is left running or lying about.
    """
    work = _Work(song, spec, ffmpeg, Deadline(timeout), _Meter(progress), sound)
    turns = TurnCache(cache) if cache else None
    with work_room() as room, new_file(out) as part:
        data = read_photo(photo)
        key = turn_key(data, spec) if turns else ""
        ready = turns is not None and turns.fetch(key, spec, room / "turn.mp4")
        if ready:
            report = report or work.check()
            work.from_turn(room / "turn.mp4", report, part)
        else:
            report = work.from_nothing(data, report, room, part)
            if turns:
                with suppress(RenderError):  # a full or read-only cache costs time, not the video
                    turns.store(key, room / "turn.mp4")
        facts = _verified(part, report, spec, ready)
    work.meter.add("join", 1)
    return facts


class _Meter:
    """Adds up the progress of steps that run side by side; never falls."""

    SHARES = {"check": 0.2, "turn": 0.2, "sound": 0.5, "join": 0.1}

    def __init__(self, report: Progress | None) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._done = dict.fromkeys(self.SHARES, 0.0)

    def add(self, step: str, fraction: float) -> None:
        with self._lock:
            self._done[step] = max(self._done[step], min(1.0, fraction))
            if self._report is not None:
                total = sum(self.SHARES[name] * part for name, part in self._done.items())
                self._report(1.0 if self._done["join"] >= 1 else total)


@dataclass
class _Work:
    """The steps of one render and what they share."""

    song: Path
    spec: VideoSpec
    ffmpeg: str
    deadline: Deadline
    meter: _Meter
    finished: Path | None
    stop: threading.Event = field(default_factory=threading.Event)

    def source(self) -> list[str]:
        return commands.song_input(self.song, tags_end(self.song))

    def check(self) -> AudioReport:
        report = check_song(self.song, ffmpeg=self.ffmpeg, timeout=min(60, self.deadline.left()), stop=self.stop)
        self.meter.add("check", 1)
        return report

    def copied(self, report: AudioReport) -> Path | None:
        """The finished video whose sound is taken, if there is one of this song's length."""
        if self.finished is None:
            return None
        try:
            sound = read_movie(self.finished).track("soun")
        except RenderError:
            return None
        return self.finished if sound and abs(sound.seconds - report.seconds) <= _sound_frame(report) else None

    def from_nothing(self, photo: bytes, report: AudioReport | None, room: Path, out: Path) -> AudioReport:
        """The turn and the sound side by side, and the video from both while the sound is still growing.

        The first failure stops the rest, and is the one that is raised.
        """
        turn, growing = room / "turn.mp4", room / "sound.mp4"
        with _beside(self.stop) as beside:
            checked = beside(lambda: report or self.check())
            copied = beside(lambda: self.copied(checked.result()))
            encoded = beside(lambda: self._encode(checked.result(), copied.result(), growing))
            make_turn(photo, self.spec, turn, ffmpeg=self.ffmpeg, deadline=self.deadline, stop=self.stop,
                      progress=lambda part: self.meter.add("turn", part))
            report = checked.result()
            if finished := copied.result():
                self._join(turn, commands.finished_input(finished), report, out)
            else:
                self._join(turn, commands.piped_input(), report, out, _growing(growing, encoded.done))
            encoded.result()
        return report

    def _encode(self, report: AudioReport, copied: Path | None, out: Path) -> None:
        """The sound alone, unless a finished video has it."""
        self.meter.add("check", 1)
        if not copied:
            argv = commands.sound_args(self.ffmpeg, self.source(), sound_spec(self.spec, report), output_rate(report),
                                       sound_filter(gain_plan(report, self.spec), report), report.seconds, out)
            self._run(argv, "sound", report)
        self.meter.add("sound", 1)

    def from_turn(self, turn: Path, report: AudioReport, out: Path) -> None:
        """The video from a turn that is ready; the sound is copied or encoded on the way."""
        self.meter.add("check", 1)
        if copied := self.copied(report):
            self.meter.add("sound", 1)
            self._join(turn, commands.finished_input(copied), report, out)
            return
        self.meter.add("turn", 1)
        loudness = sound_filter(gain_plan(report, self.spec), report)
        coding = commands.aac_options(sound_spec(self.spec, report), output_rate(report), loudness)
        self._run(commands.video_args(self.ffmpeg, turn, self.source(), coding, report.seconds, out), "sound", report)

    def _join(self, turn: Path, sound: list[str], report: AudioReport, out: Path, feed: Iterator[bytes] | None = None) -> None:
        self.meter.add("turn", 1)
        argv = commands.video_args(self.ffmpeg, turn, sound, ["-c:a", "copy"], report.seconds, out)
        self._run(argv, "join", report, feed)

    def _run(self, argv: list[str], step: str, report: AudioReport, feed: Iterator[bytes] | None = None) -> None:
        # Never quite 1 for the last step: the file is not there before it is verified and renamed.
        run_ffmpeg(argv, timeout=self.deadline.left(), stop=self.stop, feed=feed,
                   progress=lambda seconds: self.meter.add(step, min(0.99, seconds / report.seconds)))


@contextmanager
def _beside(stop: threading.Event) -> Iterator[Callable[[Callable[[], T]], "Future[T]"]]:
    """Runs tasks in a thread, one after the other; whatever ends the block, the thread has ended and its ffmpeg with it."""
    tasks: list[Future[Any]] = []

    def begin(task: Callable[[], T]) -> "Future[T]":
        def stopping() -> T:
            try:
                return task()
            except BaseException:
                stop.set()
                raise

        tasks.append(pool.submit(stopping))
        return cast("Future[T]", tasks[-1])

    with ThreadPoolExecutor(1) as pool:
        try:
            yield begin
        except BaseException as error:
            if stop.is_set() and isinstance(error, RenderError):
                for task in tasks:
                    task.result()  # raises the reason why the block was stopped
            stop.set()
            raise


def _growing(file: Path, written: Callable[[], bool]) -> Iterator[bytes]:
    """What another process writes into a file, as it comes, until that is `written`."""
    while not file.exists() and not written():
        time.sleep(LOOK_SECONDS)
    with suppress(FileNotFoundError), file.open("rb") as source:  # never begun: whoever should have says why
        while True:
            last = written()
            if data := source.read(READ_BYTES):
                yield data
            elif last:
                return
            else:
                time.sleep(LOOK_SECONDS)


def _sound_frame(report: AudioReport) -> float:
    """Seconds of one AAC frame, and what MP4 rounds: as near as a sound of the right length comes to its song's."""
    return 1024 / output_rate(report) + 0.002


def _verified(part: Path, report: AudioReport, spec: VideoSpec, ready: bool) -> VideoFacts:
    """Read the file back: ffmpeg's exit code 0 alone does not make a video."""
    movie = read_movie(part)
    picture, sound = movie.track("vide"), movie.track("soun")
    if picture is None or sound is None or len(movie.tracks) != 2:
        raise RenderError("output_invalid", "the video does not have one picture and one sound track", repr(movie))
    longest = max(1 / spec.fps + 0.002, _sound_frame(report))  # a frame
    for what, seconds in (("picture", picture.seconds), ("sound", sound.seconds)):
        if abs(seconds - report.seconds) > longest:
            raise RenderError("output_invalid", f"the video's {what} lasts {seconds:.3f} s, the song"
                              f" {report.seconds:.3f} s", repr(movie))
    if not movie.moov_first:
        raise RenderError("output_invalid", "the video cannot start before it has arrived whole", repr(movie))
    gain: Gain = gain_plan(report, spec)
    return VideoFacts(max(picture.seconds, sound.seconds), picture.samples, part.stat().st_size, gain.as_dict(),
                      spec.actual_rpm, ready, report)
