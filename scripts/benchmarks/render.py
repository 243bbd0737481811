"""Our renderer against encoding every frame, in the same run, on a song and a photo made for it.

    scripts/bench render [--seconds 120] [--rounds 3]

Each way runs in a process of its own; wall, CPU (its ffmpegs included) and peak RSS are the kernel's figures for it.
Ways take turns, and the median round counts, so that a busy machine slows all of them alike. "every_frame" pipes one
turn to ffmpeg, whose loop filter repeats it, and encodes all frames. "ours" does everything from nothing: it checks
and measures the song, too; "ours_prepared" finds the turn and the check's figures as a worker does.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from render.audio import AudioReport, check_song
from render.ffmpeg import find_ffmpeg
from render.probe import song_header
from render.spec import VideoSpec
from render.video import prepare_turn, render_video

ART = Path(__file__).resolve().parents[2] / "petsong" / "campaigns" / "valentines" / "art"
WALL_AT_MOST, CPU_AT_MOST = 1 / 6, 1 / 7
WAYS = ("every_frame", "ours", "ours_prepared", "ours_30fps", "ours_prepared_30fps")

CHORDS = "floor(mod(t,8)/2)"
LEFT = (f"0.16*sin(2*PI*(110+27.5*{CHORDS})*t)+0.12*sin(2*PI*(220+55*{CHORDS})*t)*exp(-2*mod(t,0.5))"
        "+0.08*sin(2*PI*1320*t)*exp(-6*mod(t,0.25))+0.05*(random(0)-0.5)*exp(-20*mod(t,0.25))"
        "+0.25*sin(2*PI*55*t)*exp(-9*mod(t,1))")
RIGHT = LEFT.replace("1320", "1760").replace("random(0)", "random(1)")


def make_song(path: Path, seconds: float, ffmpeg: str) -> None:
    """Chords, a bass drum, bells and hi-hats in stereo, as MP3."""
    subprocess.run([ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", f"aevalsrc='{LEFT}|{RIGHT}':s=44100:d={seconds}",
                    "-c:a", "libmp3lame", "-b:a", "192k", str(path)], check=True, stdin=subprocess.DEVNULL)


def make_photo(path: Path) -> None:
    """600x600 of coloured structure at every scale, finer than most pets' fur."""
    chance = random.Random(20)
    bands = []
    for _ in range(3):
        band = Image.new("L", (600, 600), 128)
        for grains, share in ((5, 0.8), (20, 0.45), (75, 0.35), (300, 0.18), (600, 0.05)):
            layer = Image.frombytes("L", (grains, grains), chance.randbytes(grains * grains))
            band = Image.blend(band, layer.resize((600, 600), Image.Resampling.BICUBIC), share)
        bands.append(ImageOps.autocontrast(band))
    Image.merge("RGB", bands).save(path, quality=92)


def spec_of(fps: int) -> VideoSpec:
    return VideoSpec(ART / "background.png", ART / "record.png", ART / "needle.png", fps=fps)


def every_frame(photo: Path, song: Path, out: Path, ffmpeg: str, fps: int = 15) -> None:
    """The obvious way: compose a turn, let ffmpeg's loop filter repeat the pictures, encode each of them."""
    spec = spec_of(fps)
    side = f"{spec.size}x{spec.size}"
    argv = [ffmpeg, "-nostdin", "-v", "error", "-y",
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", side, "-r", str(fps), "-i", "pipe:0",
            "-f", "mp3", "-i", str(song),
            "-filter_complex", f"[0:v]loop=loop=-1:size={spec.turn_frames}:start=0[turning]",
            "-map", "[turning]", "-map", "1:a", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", str(spec.crf),
            "-c:a", "aac", "-b:a", spec.audio_bitrate, "-t", f"{song_header(song).seconds:.3f}",
            "-movflags", "+faststart", str(out)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for picture in _pictures(photo, spec):
            encoder.stdin.write(picture)
        encoder.stdin.close()
    if encoder.returncode:
        raise SystemExit(f"ffmpeg ended with {encoder.returncode}")


def _pictures(photo: Path, spec: VideoSpec) -> Iterator[bytes]:
    scale = spec.size / 1080

    def layer(path: Path, width: float) -> Image.Image:
        side = round(width * scale)
        return Image.open(path).convert("RGBA").resize((side, side), Image.Resampling.LANCZOS)

    background, needle = layer(spec.background, 1080), layer(spec.needle, 1080)
    discs = [layer(photo, spec.photo_size), layer(spec.record, spec.record_size)]
    for number in range(spec.turn_frames):
        picture = background.copy()
        for disc in discs:
            turned = disc.rotate(-360 * number / spec.turn_frames, resample=Image.Resampling.BICUBIC)
            picture.alpha_composite(turned, ((spec.size - disc.width) // 2, (spec.size - disc.height) // 2))
        picture.alpha_composite(needle)
        yield picture.convert("RGB").tobytes()


def ours(photo: Path, song: Path, out: Path, ffmpeg: str, fps: int, room: Path | None) -> None:
    report = None
    if room:
        report = AudioReport.from_dict(json.loads((room / "report.json").read_text()))
    render_video(photo, song, out, spec_of(fps), ffmpeg=ffmpeg, cache=room, report=report)


def run_one(way: str, room: Path) -> None:
    """What a measured process does."""
    photo, song, out, ffmpeg = room / "photo.jpg", room / "song.mp3", room / f"{way}.mp4", find_ffmpeg()
    if way == "every_frame":
        every_frame(photo, song, out, ffmpeg)
    else:
        ours(photo, song, out, ffmpeg, 30 if "30fps" in way else 15, room if "prepared" in way else None)


def measure(way: str, room: Path) -> dict[str, float]:
    """Run one way in a process of its own and read its costs from the kernel."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "scripts.benchmarks.render", "--way", way, "--room", str(room)])
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{way} failed with exit code {process.returncode}")
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_rss_mb": usage.ru_maxrss / 1024}


def compare(room: Path, seconds: float, rounds: int) -> bool:
    """Print one JSON line for each way; True when ours is within the required ratios."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            runs[way].append(measure(way, room))
    base = _median(runs["every_frame"])
    within = True
    for way in WAYS:
        figures = _median(runs[way])
        line: dict[str, Any] = {"bench": "render", "way": way, "fps": 30 if "30fps" in way else 15, "song_s": seconds,
                                **{name: round(value, 2) for name, value in figures.items()},
                                "bytes": (room / f"{way}.mp4").stat().st_size}
        if way != "every_frame":
            wall, cpu = figures["wall_s"] / base["wall_s"], figures["cpu_s"] / base["cpu_s"]
            line |= {"wall_ratio": f"1/{1 / wall:.1f}", "cpu_ratio": f"1/{1 / cpu:.1f}"}
            if way == "ours":
                within = line["within"] = wall <= WALL_AT_MOST and cpu <= CPU_AT_MOST
        print(json.dumps(line), flush=True)
    return within


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def prepare(room: Path, seconds: float) -> None:
    ffmpeg = find_ffmpeg()
    make_song(room / "song.mp3", seconds, ffmpeg)
    make_photo(room / "photo.jpg")
    (room / "report.json").write_text(json.dumps(check_song(room / "song.mp3", ffmpeg=ffmpeg).as_dict()))
    for fps in (15, 30):
        prepare_turn(room / "photo.jpg", spec_of(fps), room, ffmpeg=ffmpeg)


def main() -> None:
    parser = argparse.ArgumentParser("scripts/bench render", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120, help="length of the song (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work here and leave the videos")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--room", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        run_one(args.way, args.room)
        return
    with tempfile.TemporaryDirectory() as folder:
        room = args.keep or Path(folder)
        room.mkdir(parents=True, exist_ok=True)
        prepare(room, args.seconds)
        sys.exit(0 if compare(room, args.seconds, args.rounds) else 1)


if __name__ == "__main__":
    main()
