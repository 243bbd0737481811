"""A whole campaign: how full the service's slots are, how soon an order leaves, how soon a song that is ready can be seen.

    scripts/bench campaign [--songs 300] [--seed 1] [--ways events tick]

All processes of the product, a stand-in for the service whose songs take 7 to 16 s (lognormal around 10 s), which is a real
service's minutes scaled 1:10; the product's own intervals are scaled likewise. What does not scale is our own work (forks,
renders), so that a slot that stays empty for half a second here would stay empty for as long behind songs that take ten
times longer. Videos are small and songs short, so that two cores suffice.

First songs come one by one while slots are free (`submit_to_sent_*`: from the row to the call); then all at once, more than
there are slots. `slot_utilisation`: songs at the service over slots, by the service's own ledger, from the moment the rush
begins until the last of it found a slot. `ready_to_success_*`: from the song's end at the service to the finished video.
"tick" is the same with events switched off: no webhooks, and nobody dispatches but the periodic job.
"""
import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from petsong.queues import Queues
from scripts.chaos_run.campaign import Form, make_form
from scripts.chaos_run.checker import token_of
from scripts.chaos_run.house import SLOTS, House, Options
from scripts.chaos_run.records import Row, read_tables

WAYS = ("events", "tick")
CALM_SONGS = 20
UTILISATION_WANTED, SENT_WANTED_SECONDS = 0.95, 1.0
TENTH = {
    "QUEUE_PROCESSOR_INTERVAL": "6", "SWEEP_INTERVAL": "3", "POLL_INTERVAL": "2", "CREDITS_CHECK_INTERVAL": "60",
    "TIMEOUT_CHECK_INTERVAL": "30", "RETRY_BACKOFF": "1,3,6", "UNKNOWN_AFTER_MINUTES": "1", "SONG_MAX_MINUTES": "2",
    "WEBHOOK_TIMEOUT_MINUTES": "1", "MAX_WAIT_MINUTES": "100000",
}


def without_events() -> None:
    """A double for launch.py: messages that dispatch at once are dropped; the scheduler's own tick stays."""
    real = Queues.enqueue

    def enqueue(self: Queues, job: str, *ids: str, front: bool = False) -> bool:
        return True if job == "process_pending_queue" else real(self, job, *ids, front=front)

    Queues.enqueue = enqueue  # type: ignore[method-assign]


def service_seconds(chance: random.Random) -> float:
    return min(max(chance.lognormvariate(2.31, 0.15), 7.0), 16.0)


class Run:
    """One way: a house, the calm, the rush."""

    def __init__(self, way: str, folder: Path, songs: int, seed: int) -> None:
        launch = () if way == "events" else ("--double", "scripts.benchmarks.campaign.without_events")
        sandbox = ["--align-seconds", "0", *(["--no-webhooks"] if way == "tick" else [])]
        self.way, self.songs = way, songs
        self.house = House(folder, Options(TENTH, sandbox, launch), lambda line: print(line, file=sys.stderr))
        self._chance = random.Random(f"campaign {seed}")
        self._forms = [make_form(number, self._chance) for number in range(CALM_SONGS + songs)]

    def measure(self) -> dict[str, Any]:
        try:
            self.house.start()
            for form in self._forms:
                self.house.sandbox.add_fault("slow", match=form.visitor, seconds=round(service_seconds(self._chance), 2))
            self._calm()
            began = time.time()
            self._rush()
            ended = self._wait(lambda rows: all(row["stage"] in ("done", "failed") for row in rows), 20 + 3 * self.songs)
            return self._figures(began, ended)
        finally:
            self.house.close()

    def _calm(self) -> None:
        for form in self._forms[:CALM_SONGS]:
            self._submit(form)
            time.sleep(self._chance.uniform(1.4, 2.2))  # ten seconds each: five or six at once, and ten slots
        self._wait(lambda rows: all(row["stage"] in ("done", "failed") for row in rows), 120)

    def _rush(self) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._submit, self._forms[CALM_SONGS:]))

    def _submit(self, form: Form) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": form.key}
        requests.post(f"{self.house.url}/api/submissions", data=form.body, headers=headers, timeout=30).raise_for_status()

    def _wait(self, over: Callable[[list[Row]], bool], seconds: float) -> float:
        """Raises SystemExit when it takes longer."""
        deadline = time.monotonic() + seconds
        while not over(read_tables(self.house.database_url)["submissions"]):
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.way}: not over after {seconds:.0f} s; logs: {self.house.logs}")
            time.sleep(2)
        return time.time()

    def _figures(self, began: float, ended: float) -> dict[str, Any]:
        tables, ledger = read_tables(self.house.database_url), self.house.sandbox.ledger()
        rows = tables["submissions"]
        calm, rush = {row["session_id"] for row in rows[:CALM_SONGS]}, {row["session_id"] for row in rows[CALM_SONGS:]}
        created = {row["session_id"]: row["created_at"] for row in rows}
        sent = [(a["call_started_at"] - created[a["session_id"]]).total_seconds()
                for a in tables["attempts"] if a["session_id"] in calm and a["number"] == 1]
        claimed = max(a["claimed_at"].timestamp() for a in tables["attempts"] if a["session_id"] in rush)
        ready = _ready_to_success(tables, ledger, rush)
        return {
            "bench": "campaign", "way": self.way, "songs": self.songs, "done": sum(row["stage"] == "done" for row in rows),
            "slot_utilisation": round(utilisation(ledger["orders"], began, claimed), 3),
            "submit_to_sent_median_s": round(statistics.median(sent), 2), "submit_to_sent_max_s": round(max(sent), 2),
            **{f"ready_to_success_p{part}_s": round(percentile(ready, part), 1) for part in (50, 95, 100)},
            "rush_s": round(ended - began, 1), "full_for_s": round(claimed - began, 1),
        }


def _ready_to_success(tables: dict[str, list[Row]], ledger: dict[str, Any], rush: set[str]) -> list[float]:
    owner = {attempt["token"]: attempt["session_id"] for attempt in tables["attempts"]}
    ready = {owner[token_of(order)]: order["ended_at"] for order in ledger["orders"]}
    done = {event["session_id"]: event["at"].timestamp() for event in tables["events"] if event["to_stage"] == "done"}
    return [done[one] - ready[one] for one in rush if one in done]


def utilisation(orders: list[dict[str, Any]], begins: float, ends: float, slots: int = SLOTS) -> float:
    """Share of the slots that hold a song, on average from `begins` to `ends` (seconds since 1970)."""
    busy = [min(order["ended_at"] or ends, ends) - max(order["accepted_at"], begins) for order in orders]
    return sum(max(0.0, one) for one in busy) / (slots * (ends - begins))


def percentile(values: list[float], part: int) -> float:
    """The smallest value that `part` per cent of all do not exceed."""
    return sorted(values)[max(0, -(-part * len(values) // 100) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser("scripts/bench campaign", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--songs", type=int, default=300, help="of the rush (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the service's times (default: %(default)s)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="which to run (default: both)")
    args = parser.parse_args()
    within = True
    for way in args.ways:
        with tempfile.TemporaryDirectory(prefix="petsong-bench-") as folder:
            line = Run(way, Path(folder), args.songs, args.seed).measure()
        if way == "events":
            good = line["slot_utilisation"] >= UTILISATION_WANTED and line["submit_to_sent_median_s"] < SENT_WANTED_SECONDS
            line["within"] = within = good
        print(json.dumps(line), flush=True)
    sys.exit(0 if within else 1)


if __name__ == "__main__":
    main()
