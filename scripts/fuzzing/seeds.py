"""Whole songs and photos of many kinds, small and quick to read, for the mutations to start from."""

import io
import random
import subprocess
from pathlib import Path

from mutagen.id3 import APIC, CHAP, ID3, TIT2
from PIL import Image, ImageCms, ImageFilter

TUNE = "aevalsrc='0.3*sin(440*PI*t)*exp(-2*mod(t,0.5))|0.3*sin(554*PI*t)':d=10.4"
SIDE = 408  # a little above the least that is taken


def songs(ffmpeg: str, room: Path) -> list[bytes]:
    """MP3s of 10.4 s: MPEG 1, 2 and 2.5, constant and variable rate, one and two channels, with and without tags."""
    kinds = (
        ("-ar", "44100", "-b:a", "64k"),
        ("-ar", "24000", "-ac", "1", "-q:a", "7"),
        ("-ar", "8000", "-b:a", "16k", "-write_xing", "0"),
        ("-ar", "48000", "-b:a", "96k", "-joint_stereo", "0", "-write_id3v1", "1", "-metadata", "title=Song"),
    )
    made = []
    for options in kinds:
        path = room / "seed.mp3"
        argv = [ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", TUNE, "-c:a", "libmp3lame", *options, str(path)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        made.append(path.read_bytes())
    return [*made, _tagged(made[0], room / "seed.mp3")]


def _tagged(song: bytes, path: Path) -> bytes:
    """With a title, a cover and chapters that claim an hour."""
    path.write_bytes(song)
    tags = ID3()
    tags.add(TIT2(encoding=3, text="Song"))
    tags.add(APIC(mime="image/jpeg", type=3, data=photos()[0]))
    for number in range(2):
        tags.add(CHAP(element_id=f"c{number}", start_time=number * 1_800_000, end_time=(number + 1) * 1_800_000))
    tags.save(path)
    return path.read_bytes()


def photos() -> list[bytes]:
    """JPEGs and PNGs: baseline, progressive, CMYK, grey, transparent, with a palette, with EXIF and a colour profile."""
    noise = Image.frombytes("RGB", (SIDE // 8, SIDE // 8), random.Random(1).randbytes((SIDE // 8) ** 2 * 3))
    picture = noise.resize((SIDE, SIDE + 20)).filter(ImageFilter.GaussianBlur(2))
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    clear = picture.convert("RGBA")
    clear.putalpha(picture.convert("L"))
    deep = Image.new("I;16", picture.size)
    deep.putdata([value * 257 for value in picture.convert("L").tobytes()])
    return [
        _saved(picture, "JPEG", quality=70, exif=exif, icc_profile=profile, comment=b"a comment"),
        _saved(picture, "JPEG", quality=70, progressive=True, subsampling=0),
        _saved(picture.convert("CMYK"), "JPEG", quality=60),
        _saved(picture.convert("L"), "JPEG", quality=70, restart_marker_rows=1),
        _saved(clear, "PNG", exif=exif, icc_profile=profile),
        _saved(picture.quantize(16), "PNG", transparency=3),
        _saved(deep, "PNG"),
    ]


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()
