"""How long a visitor waits for us: the whole product as processes, with songs that are ready at once.

    scripts/bench pipeline [--rounds 3]

"post_to_success": from the form's POST to the status success, a song of 100 s that the service has at once (wanted: 6 s).
"webhook_to_success": from the service's webhook to the video's event, a song of 120 s (wanted: 3.5 s on two cores).
Each round has a photo of its own, so that no record turn is found in the cache. Each result is one JSON line; the median
counts, and the exit code is 1 where it is over what is wanted.
"""
import argparse
import io
import json
import random
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.one_song import Order, Progress, Visitor
from scripts.sandbox.client import SandboxClient
from scripts.stack import Stack

WANTED = {"post_to_success": 6.0, "webhook_to_success": 3.5}
GENERATE_SECONDS = 4  # long enough for the record to be prepared meanwhile, as in earnest


def photo(number: int) -> bytes:
    """A detailed 600x600 JPEG, another one for each number."""
    chance = random.Random(number)
    small = Image.frombytes("RGB", (40, 40), chance.randbytes(4800))
    file = io.BytesIO()
    small.resize((600, 600), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


@contextmanager
def stack(folder: Path, song_seconds: int, generate_seconds: int) -> Iterator[Stack]:
    options = ["--tune", "vibe", "--prewarm", "--song-seconds", str(song_seconds), "--generate-seconds", str(generate_seconds)]
    running = Stack(folder, sandbox=options, say=lambda line: print(line, file=sys.stderr))
    running.start()
    try:
        yield running
    finally:
        running.stop()


def one_song(site: str, number: int) -> Progress:
    with Visitor(site) as visitor:
        progress = visitor.submit(Order(photo(number), "Bello", "Dog", "Romantic", "Ana Sample"))
        visitor.follow(progress, lambda _: None, 120)
        return progress


def post_to_success(folder: Path, rounds: int) -> dict[str, Any]:
    with stack(folder, 100, 0) as running:
        one_song(running.url, 0)  # the first one warms caches of the machine, not ours
        songs = [one_song(running.url, number) for number in range(1, rounds + 1)]
    return result("post_to_success", [song.report()["total"] for song in songs], stages=songs[-1].report())


def webhook_to_success(folder: Path, rounds: int) -> dict[str, Any]:
    with stack(folder, 120, GENERATE_SECONDS) as running:
        one_song(running.url, 100)
        done = [one_song(running.url, 100 + number) for number in range(1, rounds + 1)]
        told = {order["task_id"]: order["webhook_deliveries"][0]["at"] for order in SandboxClient(running.sandbox_url).orders()}
        took = [video_at(folder, song.session_id, told) for song in done]
    return result("webhook_to_success", took, stages=done[-1].report())


def video_at(folder: Path, session_id: str, told: dict[str, float]) -> float:
    """Seconds from the webhook for this song to the event that made it done."""
    database = sqlite3.connect(folder / "petsong.db")
    try:
        (task,) = database.execute('SELECT "LLM_task_id" FROM submissions WHERE session_id = ?', (session_id,)).fetchone()
        (at,) = database.execute("SELECT at FROM events WHERE session_id = ? AND to_stage = 'done'", (session_id,)).fetchone()
    finally:
        database.close()
    return datetime.fromisoformat(at).timestamp() - told[task]


def result(name: str, seconds: list[float], **more: Any) -> dict[str, Any]:
    median = round(statistics.median(seconds), 2)
    return {"bench": name, "seconds": median, "wanted": WANTED[name], "rounds": [round(s, 2) for s in seconds], **more}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    good = True
    for measure in (post_to_success, webhook_to_success):
        with tempfile.TemporaryDirectory(prefix="petsong-bench-") as folder:
            found = measure(Path(folder), rounds)
        print(json.dumps(found), flush=True)
        good = good and found["seconds"] <= found["wanted"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
