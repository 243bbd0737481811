"""What the encoder's options cost and bring: bytes, likeness and CPU of one turn, on a photo as detailed as fur.

    scripts/bench quality [--photo FILE] [--format square]

A turn is encoded once and its packets repeated, so a byte of it stands 40 times in two minutes at 20 turns a minute. Each line
is one way to encode the same frames: `video_mb` is a two-minute video with its sound at 192 kbit/s, `ssim` compares the
decoded turn with the frames before encoding (1 is the same), `seam` is the step over the seam by the median step.
"""

import argparse
import io
import json
import math
import random
import re
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageStat

from render import commands, record
from render.ffmpeg import Deadline, find_ffmpeg
from render.probe import read_movie
from render.spec import VideoSpec
from render.turns import make_turn
from scripts.benchmarks.render import FORMATS, spec_of

SECONDS, SOUND_KBIT = 120, 192
MB = 1024 * 1024
# The product's own options for a turn by itself first, then what differs.
PRESETS = ("superfast", "veryfast", "faster", "fast", "medium", "slow")
CRFS = (23, 26, 28, 30)
TUNES = ("stillimage", "film", "grain", "animation")
MORE = ("psy-rd=1,0", "aq-mode=3", "aq-mode=0", "no-mbtree=1", "ref=5", "rc-lookahead=40", "deblock=1,1", "chroma-qp-offset=0",
        "trellis=1:subme=6", "qcomp=0.6", "zones=0,0,b=1", "zones=0,0,b=6", "qcomp=0.6:zones=0,0,b=6")
FUR = ((92, 58, 34), (140, 96, 58), (186, 142, 96), (226, 196, 158), (58, 38, 26))


def fur_photo(seed: int = 7) -> bytes:
    """A 600x600 JPEG as a phone takes it of a long-haired pet: a hundred thousand hairs, eyes, a nose, a blurred room."""
    chance, side = random.Random(seed), 1200
    room = Image.new("RGB", (side, side), (168, 176, 160))
    pen = ImageDraw.Draw(room)
    for _ in range(60):
        x, y, r = chance.randrange(side), chance.randrange(side), chance.randrange(40, 260)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(chance.randrange(90, 230) for _ in range(3)))
    picture = room.filter(ImageFilter.GaussianBlur(60))
    pen = ImageDraw.Draw(picture)
    for _ in range(100_000):
        _hair(pen, chance, side)
    for x in (470, 730):
        pen.ellipse((x - 46, 450, x + 46, 542), fill=(24, 16, 12))
        pen.ellipse((x + 6, 466, x + 26, 486), fill=(240, 240, 244))
    pen.ellipse((530, 640, 670, 740), fill=(30, 22, 22))
    noise = Image.frombytes("L", (side, side), chance.randbytes(side * side)).convert("RGB")
    picture = Image.blend(picture, noise, 0.04).resize((600, 600), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def _hair(pen: ImageDraw.ImageDraw, chance: random.Random, side: int) -> None:
    """One hair of a head in the middle: it grows away from the nose, in light that falls from the top left."""
    angle, reach = chance.uniform(0, 2 * math.pi), side * 0.47 * math.sqrt(chance.random())
    x, y = side / 2 + reach * math.cos(angle), side * 0.55 + reach * math.sin(angle)
    lean, length = angle + chance.gauss(0, 0.35) + 0.5 * math.sin(5 * angle), chance.uniform(14, 46)
    light = chance.uniform(0.6, 1.15) * (1.1 - 0.35 * (x + y) / (2 * side))
    shade = FUR[int(2 + 2 * math.sin(3 * angle) + chance.gauss(0, 0.8)) % len(FUR)]
    ends = (x, y, x + length * math.cos(lean), y + length * math.sin(lean))
    pen.line(ends, fill=tuple(min(255, int(part * light)) for part in shade), width=chance.choice((1, 2, 2, 3)))


# ---- encoding

def variants(argv: list[str]) -> Iterator[tuple[str, list[str]]]:
    """(name, argv) of each way; the first one is the product's own, but for the pictures that lead to the seam."""
    own = {name: argv[argv.index(f"-{name}") + 1] for name in ("preset", "crf")}
    yield f"ours: {own['preset']} crf {own['crf']}", argv
    for preset in PRESETS:
        if preset != own["preset"]:
            yield f"preset {preset}", with_option(argv, "-preset", preset)
    for crf in CRFS:
        if str(crf) != own["crf"]:
            yield f"crf {crf}", with_option(argv, "-crf", str(crf))
    for tune in TUNES:
        yield f"tune {tune}", with_option(argv, "-tune", tune)
    params = argv[argv.index("-x264-params") + 1]
    yield "without our x264 options", with_option(argv, "-x264-params", "chromaloc=1")
    for more in MORE:
        yield more, with_option(argv, "-x264-params", f"{params}:{more}")


def with_option(argv: list[str], name: str, value: str) -> list[str]:
    """The argv with one of its options changed, or added before the codec's others."""
    changed = list(argv)
    if name in changed:
        changed[changed.index(name) + 1] = value
    else:
        at = changed.index("-crf")
        changed[at:at] = [name, value]
    return changed


def measure(name: str, argv: list[str], frames: Path, spec: VideoSpec, turn: Path) -> dict[str, Any]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with frames.open("rb") as raw:
        subprocess.run(argv, stdin=raw, stdout=subprocess.DEVNULL, check=True)
    return figures(name, turn, frames, spec, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)


def measure_product(photo: bytes, frames: Path, spec: VideoSpec, turn: Path) -> dict[str, Any]:
    """The turn as videos have it: its last pictures lead to the first one, and a plain photo's bits are spread otherwise."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    make_turn(photo, spec, turn, ffmpeg=find_ffmpeg(), deadline=Deadline(120))
    return figures("as in videos", turn, frames, spec, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)


def figures(name: str, turn: Path, frames: Path, spec: VideoSpec, cpu: float) -> dict[str, Any]:
    track = read_movie(turn).track("vide")
    assert track is not None and track.samples == spec.turn_frames, name
    size, turns = turn.stat().st_size, SECONDS * spec.actual_rpm / 60
    return {
        "bench": "quality", "way": name, "turn_kb": round(size / 1024, 1),
        "video_mb": round((size * turns + SECONDS * SOUND_KBIT * 125) / MB, 2), "ssim": likeness(frames, turn, spec),
        "seam": round(seam(turn, spec), 3), "cpu_s": round(cpu, 2),
    }


def likeness(frames: Path, turn: Path, spec: VideoSpec) -> float:
    """SSIM of all planes, on average over the frames."""
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", f"{spec.width}x{spec.height}", "-framerate", str(spec.fps)]
    argv = [find_ffmpeg(), "-nostdin", "-hide_banner", "-i", str(turn), *raw, "-i", str(frames)]
    argv += ["-lavfi", "ssim", "-f", "null", "-"]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stderr
    return float(re.findall(r"SSIM .*All:([\d.]+)", said)[-1])


def seam(turn: Path, spec: VideoSpec) -> float:
    """The luma's step from the last frame to the first, by the median step between neighbours."""
    argv = [find_ffmpeg(), "-nostdin", "-v", "error", "-i", str(turn), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    raw = subprocess.run(argv, check=True, capture_output=True).stdout
    pixels = spec.width * spec.height
    pictures = [Image.frombytes("L", (spec.width, spec.height), raw[at : at + pixels]) for at in range(0, len(raw), pixels)]
    neighbours = zip(pictures, pictures[1:] + pictures[:1], strict=True)
    steps = [ImageStat.Stat(ImageChops.difference(one, two)).mean[0] for one, two in neighbours]
    return steps[-1] / statistics.median(steps[:-1])


def main() -> None:
    parser = argparse.ArgumentParser("scripts/bench quality", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", type=Path, metavar="FILE", help="instead of the fur")
    parser.add_argument("--format", choices=FORMATS, default="square")
    parser.add_argument("--only", metavar="WORDS", help="ways whose name has these words")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="leave the fur's photo there")
    args = parser.parse_args()
    data, spec = args.photo.read_bytes() if args.photo else fur_photo(), spec_of(30, args.format)
    if args.keep:
        args.keep.write_bytes(data)
    with tempfile.TemporaryDirectory(prefix="petsong-bench-") as folder:
        frames, turn = Path(folder) / "turn.yuv", Path(folder) / "turn.mp4"
        with frames.open("wb") as raw:
            raw.writelines(record.Turntable(record.make_scene(data, spec), spec.turn_frames).turn())
        if not args.only:
            print(json.dumps(measure_product(data, frames, spec, turn)), flush=True)
        for name, argv in variants(commands.turn_args(find_ffmpeg(), spec, turn)):
            if not args.only or args.only in name:
                print(json.dumps(measure(name, argv, frames, spec, turn)), flush=True)


if __name__ == "__main__":
    main()
