"""What a video is measured by: sound and pictures stay together, turns follow each other, a detailed photo stays small."""
import io
import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from render.spec import VideoSpec
from render.video import VideoFacts, prepare_turn, render_video
from render_media import ART, FFMPEG, photo, run, small_spec, song
from scripts.benchmarks.quality import SECONDS, SOUND_KBIT, fur_photo, seam
from scripts.cartoon import cartoon_pet

MB = 1024 * 1024
FPS = 10
LONG = 300.0
BEEPS = (5.0, 150.0, 295.0)
# Quiet hum, so that nothing is silent, and a beep of a fifth of a second at each of these moments.
BEEPING = "aevalsrc='0.02*sin(220*PI*t)+0.8*sin(2000*PI*t)*(" + "+".join(f"between(t,{at},{at + 0.2})" for at in BEEPS) + ")'"


@cache
def long_video() -> tuple[Path, VideoFacts]:
    source = song(BEEPING, LONG)
    out = source.with_name("long.mp4")
    return out, render_video(photo(source.with_name("long.png")), source, out, small_spec(size=64, fps=FPS), ffmpeg=FFMPEG)


def packets(video: Path, kind: str) -> list[tuple[float, float]]:
    """(moment, length) of every packet, in seconds."""
    shown = run("ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time,duration_time",
                "-of", "json", str(video))
    return [(float(it["pts_time"]), float(it["duration_time"])) for it in json.loads(shown)["packets"]]


def beeps(file: Path) -> list[float]:
    """When it gets loud, in seconds, by the decoded sound."""
    rate = 8000
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", f"file:{file}", "-vn", "-af", "highpass=f=600", "-ac", "1",
                          "-ar", str(rate), "-f", "u8", "-"], check=True, capture_output=True).stdout
    found: list[float] = []
    for at in range(0, len(raw), rate // 100):
        if max(raw[at : at + rate // 100], default=128) > 150 and (not found or at / rate > found[-1] + 1):
            found.append(at / rate)
    return found


def test_sound_and_pictures_of_five_minutes_stay_within_a_frame() -> None:
    video, facts = long_video()
    assert facts.frames == LONG * FPS
    pictures, sounds = packets(video, "v"), packets(video, "a")
    assert [at for at, _ in pictures] == pytest.approx([number / FPS for number in range(facts.frames)], abs=0.002)
    steps = [then[0] - now[0] for now, then in zip(sounds, sounds[1:], strict=False)]
    assert max(steps) - min(steps) < 0.0005, "the sound has a gap or an overlap"
    ends = [sum(found[-1]) for found in (pictures, sounds)]
    assert abs(ends[0] - ends[1]) < 1 / FPS and ends[0] == pytest.approx(LONG, abs=1 / FPS)


def test_what_is_heard_after_five_minutes_is_heard_when_the_song_has_it() -> None:
    video, _ = long_video()
    assert beeps(video) == pytest.approx(list(BEEPS), abs=0.03)


def test_turns_follow_each_other_without_a_drift() -> None:
    """Packet by packet the pictures of the last turn are those of the first."""
    video, facts = long_video()
    sums = run("ffmpeg", "-v", "error", "-i", str(video), "-map", "0:v", "-c", "copy", "-f", "framehash", "-hash", "crc32", "-")
    hashes = [line.rsplit(",", 1)[1] for line in sums.splitlines() if not line.startswith("#")]
    turn = small_spec(fps=FPS).turn_frames
    assert turn == 30 and len(hashes) == facts.frames
    assert all(hashes[at] == hashes[at % turn] for at in range(1, len(hashes)))


@pytest.mark.parametrize(("fps", "rpm", "frames"), [(30, 20, 90), (15, 20, 45), (30, 33.3, 54), (25, 45, 33), (30, 16, 112)])
def test_a_turn_has_whole_frames_and_says_what_was_rounded(fps: int, rpm: float, frames: int) -> None:
    spec = small_spec(fps=fps, rpm=rpm)
    assert spec.turn_frames == frames
    assert abs(spec.actual_rpm - rpm) < rpm * 0.02
    assert bool(spec.notes) is (abs(spec.actual_rpm - rpm) >= 0.005)


# ---- the product's own size, on a photo as detailed as fur

def turn_of(data: bytes, folder: Path) -> Path:
    (folder / "photo.jpg").write_bytes(data)
    return prepare_turn(folder / "photo.jpg", product(), folder, ffmpeg=FFMPEG)


def out_of_focus() -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(fur_photo())).filter(ImageFilter.GaussianBlur(4)).save(out, "JPEG", quality=90)
    return out.getvalue()


def product() -> VideoSpec:
    return VideoSpec(ART / "background.png", ART / "record.png", ART / "needle.png")


@pytest.mark.parametrize("draw", [fur_photo, out_of_focus, cartoon_pet])
def test_two_minutes_stay_under_eight_megabytes_and_no_turn_gives_a_start(tmp_path: Path, draw: Callable[[], bytes]) -> None:
    """The last picture leads to the first as each to the next."""
    turn, turns = turn_of(draw(), tmp_path), SECONDS * product().actual_rpm / 60
    assert turns == 40
    assert turn.stat().st_size * turns + SECONDS * SOUND_KBIT * 125 < 8 * MB
    assert seam(turn, product()) == pytest.approx(1, abs=0.1)
