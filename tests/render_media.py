"""Photos, songs and specs for the renderer's tests: small, made on the spot, each song once per run."""

import atexit
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import imageio_ffmpeg
from PIL import Image, ImageChops, ImageDraw, ImageStat

from render.ffmpeg import find_ffmpeg
from render.spec import VideoSpec

ART = Path(__file__).resolve().parent.parent / "petsong" / "campaigns" / "valentines" / "art"
FFMPEG = find_ffmpeg()
EMBEDDED = imageio_ffmpeg.get_ffmpeg_exe()
TUNE = "aevalsrc='0.2*sin(440*PI*t)+0.2*sin(660*PI*t)*exp(-3*mod(t,0.5))|0.3*sin(442*PI*t)'"


def small_spec(**changes: object) -> VideoSpec:
    """A quick video: 128 px at 10 fps, 30 frames a turn."""
    values = {"size": 128, "fps": 10} | changes
    return VideoSpec(ART / "background.png", ART / "record.png", ART / "needle.png", **values)  # type: ignore[arg-type]


@cache
def _room() -> Path:
    room = mkdtemp(prefix="petsong-songs-")
    atexit.register(shutil.rmtree, room)
    return Path(room)


@cache
def song(source: str = TUNE, seconds: float = 12.3, *options: str) -> Path:
    """An MP3 of an ffmpeg source; `options` go before the output."""
    path = _room() / f"{abs(hash((source, seconds, options)))}.mp3"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-t", str(seconds),
               "-c:a", "libmp3lame", "-b:a", "128k", *options, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def photo(path: Path, size: tuple[int, int] = (600, 600)) -> Path:
    """Four coloured quarters (red, green, blue, yellow clockwise from the top left): shows which way is up."""
    picture = Image.new("RGB", size, (200, 30, 30))
    pen, (wide, high) = ImageDraw.Draw(picture), size
    pen.rectangle((wide // 2, 0, wide, high // 2), fill=(30, 160, 30))
    pen.rectangle((wide // 2, high // 2, wide, high), fill=(30, 30, 200))
    pen.rectangle((0, high // 2, wide // 2, high), fill=(220, 210, 20))
    picture.save(path)
    return path


def run(*command: str) -> str:
    """The output of a tool of the tests' own, such as ffprobe."""
    return subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


def frames(video: Path, size: int) -> list[Image.Image]:
    """Every frame, decoded."""
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", f"file:{video}", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                         check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout
    step = size * size * 3
    return [Image.frombytes("RGB", (size, size), raw[at : at + step]) for at in range(0, len(raw), step)]


def unlike(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures' pixels, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3
