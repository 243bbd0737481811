"""How long a visitor waits for our own part: the demo's processes, idle, one song at a time, JSON lines.

    scripts/bench pipeline [--songs 3]

"post_to_success": a song of 100 s that the service has ready at once, from the start of the POST to the first status
that says success, asked every 50 ms. "webhook_to_success": a song of 120 s, from the webhook's receipt to the finished
video, both by the database's clock. Medians count. Each song has a photo that nobody sent before, and one song of each
kind goes first and does not count: it makes the tune. Ends with 1 when a wish is not fulfilled.
"""

import argparse
import io
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from petsong import database
from petsong.models import Attempt, Event, WebhookReceipt
from scripts.cartoon import cartoon_pet
from scripts.one_song import Order, Visitor
from scripts.sandbox.client import SandboxClient
from scripts.stack import Stack

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 120.0
REST_SECONDS = 1.0  # between songs, for what follows a finished one


def photo(seed: int) -> bytes:
    """The cartoon with a border of its own, so that no record is found prepared."""
    image = Image.open(io.BytesIO(cartoon_pet()))
    chance = random.Random(seed)
    image.paste(tuple(chance.randbytes(3)), (0, 0, image.width, 20))
    image.paste(tuple(chance.randbytes(3)), (0, 0, 20, image.height))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92)
    return out.getvalue()


class Bench:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._service = SandboxClient(stack.sandbox_url)
        self._number = 0
        database.connect_to(stack.env["DATABASE_URL"])

    def song(self) -> tuple[str, float]:
        """Session id of one more song, and the seconds from its POST to success."""
        self._number += 1
        order = Order(photo(self._number), "Biscuit", "Dog", "Romantic", "Robin")
        with Visitor(self._stack.url) as visitor:
            progress = visitor.submit(order)
        seconds = self._wait(progress.session_id) - progress.began
        time.sleep(REST_SECONDS)
        return progress.session_id, seconds

    def _wait(self, session_id: str) -> float:
        """time.monotonic() of success. Visitor.follow would ask four times a second."""
        address, ends = f"{self._stack.url}/api/submissions/{session_id}/status", time.monotonic() + PATIENCE_SECONDS
        with requests.Session() as http:
            while True:
                status = http.get(address, timeout=10).json()
                if status["status"] == "success":
                    return time.monotonic()
                if status["status"] == "fail" or time.monotonic() > ends:
                    raise SystemExit(f"the song did not come: {status}")
                time.sleep(POLL_SECONDS)

    def measure(
        self, name: str, songs: int, seconds_of: Callable[[str, float], float], wanted: float, **service: float
    ) -> bool:
        """Print one line about so many songs; True when their median is what is wanted."""
        self._service.configure(**service)
        self.song()
        made = [self.song() for _ in range(songs)]
        runs = [seconds_of(session_id, seconds) for session_id, seconds in made]
        median = statistics.median(runs)
        stages = [stage_seconds(session_id) for session_id, _ in made]
        line: dict[str, Any] = {
            "bench": "pipeline", "measure": name, "song_s": service["song_seconds"], "runs_s": rounded(runs),
            "median_s": round(median, 2), "wanted_s": wanted, "within": median < wanted,
            "load": round(os.getloadavg()[0], 1),  # of the minute before: figures of a busy machine say little
            "stages_s": {stage: round(statistics.median(run[stage] for run in stages), 2) for stage in stages[0]},
        }
        print(json.dumps(line), flush=True)
        return median < wanted


def rounded(values: list[float]) -> list[float]:
    return [round(value, 2) for value in values]


def moves(session_id: str) -> list[Any]:
    with database.connection():
        found = Event.select().where(Event.submission == session_id).order_by(Event.id)
        return [event for event in found if event.from_stage != event.to_stage or event.reason == "submitted"]


def stage_seconds(session_id: str) -> dict[str, float]:
    return {now.to_stage: (then.at - now.at).total_seconds() for now, then in pairwise(moves(session_id))}


def since_webhook(session_id: str, _: float) -> float:
    with database.connection():
        receipts = WebhookReceipt.select().join(Attempt).where(Attempt.submission == session_id)
        first = min(receipt.at for receipt in receipts)
    seconds: float = (moves(session_id)[-1].at - first).total_seconds()
    return seconds


def run(folder: Path, songs: int) -> bool:
    # Further formats are made when nobody waits; here they would only make the next song's figures busier.
    settings = {"VIDEO_FORMATS": "square"}
    stack = Stack(folder, settings=settings, sandbox=["--tune", "premade"], say=lambda line: print(line, file=sys.stderr))
    try:
        stack.start()
        bench = Bench(stack)
        posts = bench.measure("post_to_success", songs, lambda _, seconds: seconds, 6.0, song_seconds=100, generate_seconds=0)
        webhooks = bench.measure("webhook_to_success", songs, since_webhook, 3.5, song_seconds=120, generate_seconds=8)
        return posts and webhooks
    finally:
        stack.stop()


def main() -> None:
    parser = argparse.ArgumentParser("scripts/bench pipeline", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--songs", type=int, default=3, help="songs of each kind (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="petsong-bench-") as folder:
        sys.exit(0 if run(Path(folder), args.songs) else 1)


if __name__ == "__main__":
    main()
