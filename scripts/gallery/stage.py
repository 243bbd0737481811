"""A site with songs at every point of their life, for a photographer. Nobody works on them: what is shown stands still."""
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from microsite import Site
from petsong import database
from petsong.campaigns.loader import load_campaign
from scripts.cartoon import cartoon_pet

LYRICS = """[Verse 1]
Marisol hears the patter on the stair
A wagging tail, a whirl of golden hair
Biscuit, you have carried every shoe
And every morning starts because of you

[Chorus]
Biscuit, oh Biscuit, spin another round
You are the warmest heart I ever found
From the first bark to the last goodnight
Marisol and Biscuit, everything is right

[Verse 2]
Rain on the window, muddy little feet
Half of the sofa, all of the heat
Nobody listens half as well as you
My clever counsellor, my avalanche of goo"""


def word_timing() -> list[dict[str, Any]]:
    """Half a second a word, a breath between lines."""
    words: list[dict[str, Any]] = []
    at = 0.6
    for line in LYRICS.splitlines():
        if not line or line.startswith("["):
            continue
        for word in line.split():
            words.append({"word": word, "start": round(at, 2), "end": round(at + 0.45, 2)})
            at += 0.5
        words[-1]["word"] += "\n"
        at += 0.4
    return words


@contextmanager
def served(campaign: str, video: Path, poster: Path) -> Iterator[Site]:
    """The site of a campaign, on a free port, with songs named after their state; the finished ones have that video."""
    with tempfile.TemporaryDirectory(prefix="petsong-gallery-") as folder:
        site = Site(Path(folder), "redis://127.0.0.1:1/0", campaign=campaign, log_level="CRITICAL")
        _fill(site, video, poster)
        with site.serve():
            yield site


def _fill(site: Site, video: Path, poster: Path) -> None:
    waiting = {"entry_status": "processing", "lyrics": None}
    site.song("queued", stage="queued", entry_status="pending", lyrics=None)
    site.song("singing", stage="generating", **waiting)
    site.song("pressing", stage="rendering", **waiting)
    site.song("failed", stage="failed", entry_status="fail", fail_reason="service_failed", lyrics=None)
    with database.connection():
        moment = database.now()
    site.song("expired", created_at=moment - timedelta(days=40), files_removed_at=moment, lyrics=None)
    for name in ("plain", "finished"):
        site.song(name, stage="rendering", **waiting)
        site.finish(name, video, poster)
        site.change(name, lyrics=LYRICS, audio_seconds=60.0)
    site.change("finished", word_timing=word_timing())
    for kind, height in (("hd", 1080), ("story", 1920)):
        site.add_rendition("finished", kind, video.read_bytes(), width=1080, height=height)


def rendered(campaign: str, cache: Path) -> tuple[Path, Path]:
    """(video, poster) of the drawn dog in a campaign's artwork, made once."""
    folder = cache / campaign
    video, poster = folder / "song.mp4", folder / "poster.jpg"
    if not (video.is_file() and poster.is_file()):
        folder.mkdir(parents=True, exist_ok=True)
        photo, song = folder / "photo.jpg", folder / "song.mp3"
        photo.write_bytes(cartoon_pet())
        tone = ["-f", "lavfi", "-i", "sine=330:d=60", "-c:a", "libmp3lame", "-b:a", "64k"]
        subprocess.run(["ffmpeg", "-v", "error", "-y", *tone, song], check=True, timeout=60)
        art = load_campaign(campaign).artwork.record.parent
        argv = [sys.executable, "-m", "render", "--assets", str(art), "--poster", str(poster), *map(str, (photo, song, video))]
        subprocess.run(argv, check=True, timeout=120)
    return video, poster
