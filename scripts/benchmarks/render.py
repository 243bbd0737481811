"""Our renderer against encoding every frame, and against the least that could be done, in the same run.

    scripts/bench render [--seconds 60 120 240] [--rounds 3]

Each way runs in a process of its own; wall, CPU (its ffmpegs included) and the peak memory of its largest process are the
kernel's figures for it. Ways take turns and the median round counts, so that a busy machine slows all of them alike.
720 px at 15 fps: "every_frame" pipes one turn to ffmpeg, whose loop filter repeats it, and encodes all frames. "ours" does
everything from nothing: it checks and measures the song, too; "prepared" finds the turn, and nothing else. "floor" is one
ffmpeg that decodes the song, measures it by ebur128, encodes the same AAC and copies the turn's packets: no gain could
be known to it. At 30 fps, the product's own: "square", "hd" and "story" of one song, one after the other, as our jobs do.
Ends with 1 when a wish is not fulfilled.
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

from render import commands
from render.audio import AudioReport
from render.ffmpeg import find_ffmpeg
from render.probe import song_header, tags_end
from render.spec import VideoSpec
from render.video import prepare_turn, render_video

ART = Path(__file__).resolve().parents[2] / "petsong" / "campaigns" / "valentines" / "art"
CAPTION = ("Biscuit", "with love from Robin")
WAYS = ("every_frame", "ours", "prepared", "floor")
FORMATS = ("square", "hd", "story")
FORMATS_OF_SECONDS = 120.0
# What is wanted: of every frame's wall and CPU, by the song's seconds; of the floor; of a song's formats; of any process.
RATIOS = {120.0: (1 / 8, 1 / 8), 240.0: (1 / 8.5, 1 / 10)}
OF_FLOOR = 1.3
FORMATS_SECONDS = 12.0
PEAK_MB = {"square": 120, "hd": 160, "story": 200}

CHORDS = "floor(mod(t,8)/2)"
LEFT = (f"0.16*sin(2*PI*(110+27.5*{CHORDS})*t)+0.12*sin(2*PI*(220+55*{CHORDS})*t)*exp(-2*mod(t,0.5))"
        "+0.08*sin(2*PI*1320*t)*exp(-6*mod(t,0.25))+0.05*(random(0)-0.5)*exp(-20*mod(t,0.25))"
        "+0.25*sin(2*PI*55*t)*exp(-9*mod(t,1))")
RIGHT = LEFT.replace("1320", "1760").replace("random(0)", "random(1)")
Figures = dict[str, float]


# ---- what is rendered

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


def spec_of(fps: int, format: str = "square") -> VideoSpec:
    return VideoSpec(ART / "background.png", ART / "record.png", ART / "needle.png", fps=fps, format=format, caption=CAPTION)


# ---- the ways

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


def floor_argv(room: Path) -> list[str]:
    """The least: one process, one decode, of which one branch is measured and the other encoded."""
    song, spec = room / "song.mp3", spec_of(15)
    split = "[1:a]asplit[a][b];[a]ebur128=peak=true:framelog=verbose,anullsink"
    return [find_ffmpeg(), "-nostdin", "-v", "error", "-y", "-stream_loop", "-1", "-f", "mp4", "-i", str(room / "turn.mp4"),
            *commands.song_input(song, tags_end(song)), "-filter_complex", split, "-map", "0:v", "-map", "[b]", "-c:v", "copy",
            *commands.aac_options(spec, song_header(song).sample_rate, ""), "-t", f"{song_header(song).seconds:.3f}",
            "-movflags", "+faststart", str(room / "floor.mp4")]


def run_one(way: str, room: Path) -> None:
    """What a measured process does."""
    photo, song, out, ffmpeg = room / "photo.jpg", room / "song.mp3", room / f"{way}.mp4", find_ffmpeg()
    if way == "every_frame":
        every_frame(photo, song, out, ffmpeg)
    elif way == "square":
        facts = render_video(photo, song, out, spec_of(30), ffmpeg=ffmpeg)
        (room / "report.json").write_text(json.dumps(facts.report.as_dict()))
    elif way in FORMATS:
        report = AudioReport.from_dict(json.loads((room / "report.json").read_text()))
        render_video(photo, song, out, spec_of(30, way), ffmpeg=ffmpeg, report=report, sound=room / "square.mp4")
    else:
        cache = room / "cache" if way == "prepared" else None
        render_video(photo, song, out, spec_of(15), ffmpeg=ffmpeg, cache=cache)


# ---- measuring

def measure(way: str, room: Path) -> Figures:
    """Run one way in a process of its own and read its costs from the kernel."""
    began = time.monotonic()
    ours = [sys.executable, "-m", "scripts.benchmarks.render", "--way", way, "--room", str(room)]
    process = subprocess.Popen(floor_argv(room) if way == "floor" else ours)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{way} failed with exit code {process.returncode}")
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_rss_mb": usage.ru_maxrss / 1024}


def medians(ways: tuple[str, ...], room: Path, rounds: int) -> dict[str, Figures]:
    runs: dict[str, list[Figures]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            runs[way].append(measure(way, room))
    return {way: {name: statistics.median(run[name] for run in found) for name in found[0]} for way, found in runs.items()}


def tell(way: str, seconds: float, figures: Figures, room: Path, within: bool | None = None, **more: Any) -> bool:
    """Print one line; whether all that is wanted of it is so."""
    line: dict[str, Any] = {"bench": "render", "way": way, "song_s": seconds, **{k: round(v, 2) for k, v in figures.items()},
                            "bytes": (room / f"{way}.mp4").stat().st_size, **more}
    print(json.dumps(line if within is None else line | {"within": within}), flush=True)
    return within is not False


def compare(room: Path, seconds: float, rounds: int) -> bool:
    """One song's ways."""
    found = medians(WAYS, room, rounds)
    base, floor = found["every_frame"], found["floor"]
    good = tell("every_frame", seconds, base, room) and tell("floor", seconds, floor, room)
    for way in ("ours", "prepared"):
        wall, cpu = (found[way][name] / base[name] for name in ("wall_s", "cpu_s"))
        more = {"wall_ratio": f"1/{1 / wall:.1f}", "cpu_ratio": f"1/{1 / cpu:.1f}"}
        within = None
        if way == "prepared":
            of_floor = found[way]["wall_s"] / floor["wall_s"]
            more["of_floor"] = f"{of_floor:.2f}"
            within = of_floor <= OF_FLOOR if seconds in RATIOS else None
        elif seconds in RATIOS:
            within = wall <= RATIOS[seconds][0] and cpu <= RATIOS[seconds][1]
        good = tell(way, seconds, found[way], room, within, **more) and good
    return good


def formats(room: Path, seconds: float, rounds: int) -> bool:
    """One song's formats: how long they take together, and how much memory each."""
    found = medians(FORMATS, room, rounds)
    good = all([tell(way, seconds, found[way], room, found[way]["peak_rss_mb"] <= PEAK_MB[way]) for way in FORMATS])
    wall = sum(figures["wall_s"] for figures in found.values())
    within = wall < FORMATS_SECONDS
    line = {"bench": "render", "way": "+".join(FORMATS), "song_s": seconds, "wall_s": round(wall, 2), "within": within}
    print(json.dumps(line), flush=True)
    return good and within


def prepare(room: Path, seconds: float) -> None:
    ffmpeg = find_ffmpeg()
    make_song(room / "song.mp3", seconds, ffmpeg)
    make_photo(room / "photo.jpg")
    made = prepare_turn(room / "photo.jpg", spec_of(15), room / "cache", ffmpeg=ffmpeg)
    (room / "turn.mp4").write_bytes(made.read_bytes())


def run(room: Path, seconds: float, rounds: int, with_formats: bool) -> bool:
    room.mkdir(parents=True, exist_ok=True)
    prepare(room, seconds)
    good = compare(room, seconds, rounds)
    return (formats(room, seconds, rounds) and good) if with_formats else good


def main() -> None:
    parser = argparse.ArgumentParser("scripts/bench render", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[60.0, 120.0, 240.0], help="songs (default: 60 120 240)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work here and leave the videos")
    parser.add_argument("--way", choices=(*WAYS[:3], *FORMATS), help=argparse.SUPPRESS)
    parser.add_argument("--room", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        run_one(args.way, args.room)
        return
    of = FORMATS_OF_SECONDS if FORMATS_OF_SECONDS in args.seconds else args.seconds[0]
    with tempfile.TemporaryDirectory(prefix="petsong-bench-") as folder:
        rooms = [(args.keep or Path(folder)) / f"{seconds:g}" for seconds in args.seconds]
        good = [run(room, seconds, args.rounds, seconds == of) for room, seconds in zip(rooms, args.seconds, strict=True)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
