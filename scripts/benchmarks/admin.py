"""How long an operator waits with a campaign's worth of songs in PostgreSQL: JSON lines, one for each page.

    scripts/bench admin [--songs 200000] [--requests 25]

A private PostgreSQL is seeded (scripts/seeding.py), the site runs behind gunicorn as in production, and each address is asked
over HTTP, one request after the other. Medians count: each must stay under 100 ms. Of the export it is the time to the
first byte, read on until its first thousand lines. "overview fresh" is the overview as nobody had asked for it lately;
it is asked less often, because it is kept for five seconds. Ends with 1 when a median is missed.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from petsong import database
from petsong.lifecycle.stages import Stage
from petsong.models import Submission
from petsong.settings import Settings
from petsong.web.desk.overview import KEPT_SECONDS
from scripts.benchmarks.campaign import percentile
from scripts.processes import end, spawn
from scripts.seeding import seed
from scripts.servers import PostgresServer, RedisServer, free_port

ROOT = Path(__file__).resolve().parents[2]
WANTED_MS = 100.0  # also for the overview that nobody has asked for lately: whoever looks alone never gets another
LOGIN = ("admin", "only-for-the-benchmark")
START_SECONDS = 60.0
EXPORT_LINES = 1000
FRESH_REQUESTS = 9


def paths(session_id: str, pet_name: str) -> dict[str, str]:
    """{what: address}; {n} becomes the request's number, so that pages differ."""
    rows = "/admin/submissions"
    return {
        "list": rows, "list page 2000": f"{rows}?page=20{{n:02}}", "list by stage": f"{rows}?stage=failed&page={{n}}",
        "list by reason": f"{rows}?reason=timeout", "list by status": f"{rows}?status=processing",
        "list by days": f"{rows}?from_date=2000-01-01&to_date=2199-01-01&page={{n}}",
        "list by campaign": f"{rows}?campaign=valentines&page={{n}}", "list by id": f"{rows}?prefix={session_id[:6]}",
        "list by name": f"{rows}?prefix={pet_name}", "list of nothing": f"{rows}?campaign=nobody",
        "list as JSON": f"/api{rows}?page={{n}}&page_size=50", "detail": f"{rows}/{session_id}",
        "detail as JSON": f"/api{rows}/{session_id}", "overview": "/admin", "overview as JSON": "/api/admin/overview",
        "credits": "/admin/credits?page={n}", "credits as JSON": "/api/admin/credits", "campaign": "/admin/campaign",
        "queue-status": "/api/admin/queue-status", "availability": "/api/availability",
    }


class Bench:
    def __init__(self, address: str, number: int) -> None:
        self._address, self._number = address, number
        self._http = requests.Session()
        self._http.auth = LOGIN

    def page(self, what: str, path: str) -> bool:
        self._get(path.format(n=1))
        return self._say(what, [self._get(path.format(n=number + 1)) for number in range(self._number)])

    def export(self, what: str, path: str) -> bool:
        return self._say(what, [self._first_byte(path) for _ in range(max(3, self._number // 5))])

    def fresh(self, what: str, path: str) -> bool:
        """As often as all of the site's processes have certainly forgotten it."""
        taken = []
        for _ in range(FRESH_REQUESTS):
            time.sleep(KEPT_SECONDS + 0.5)
            taken.append(self._get(path))
        return self._say(what, taken)

    def _get(self, path: str) -> float:
        """Milliseconds until the whole answer is there."""
        began = time.perf_counter()
        answer = self._http.get(f"{self._address}{path}", timeout=60)
        took = (time.perf_counter() - began) * 1000
        if answer.status_code != 200:
            raise SystemExit(f"{path} answers {answer.status_code}: {answer.text[:200]}")
        return took

    def _first_byte(self, path: str) -> float:
        began = time.perf_counter()
        with self._http.get(f"{self._address}{path}", stream=True, timeout=60) as answer:
            lines = answer.iter_lines(chunk_size=1)
            next(lines)
            took = (time.perf_counter() - began) * 1000
            for _ in zip(range(EXPORT_LINES), lines, strict=False):
                pass
        if answer.status_code != 200:
            raise SystemExit(f"{path} answers {answer.status_code}")
        return took

    def _say(self, what: str, taken: list[float]) -> bool:
        median = statistics.median(taken)
        print(json.dumps({
            "bench": "admin", "measure": what, "requests": len(taken), "median_ms": round(median, 1),
            "p95_ms": round(percentile(taken, 95), 1), "wanted_ms": WANTED_MS, "within": median < WANTED_MS,
            "load": round(os.getloadavg()[0], 1),
        }), flush=True)
        return median < WANTED_MS


@contextmanager
def site(folder: Path, database_url: str, redis_url: str) -> Iterator[str]:
    """The address of the site behind gunicorn."""
    port = free_port()
    environ = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    environ |= {
        "DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET_KEY": "only-for-the-benchmark", "LOG_LEVEL": "WARNING",
        "ADMIN_USERNAME": LOGIN[0], "ADMIN_PASSWORD": LOGIN[1],
        **{f"{kind}_STORAGE": str(folder / kind) for kind in ("IMG", "AUDIO", "VIDEO")},
    }
    argv = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "wsgi:app"]
    log = folder / "gunicorn.log"
    with log.open("wb") as output:
        process: subprocess.Popen[bytes] = spawn(argv, output, env=environ, cwd=ROOT)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(address, lambda: process.poll() is None, log)
        yield address
    except SystemExit:
        print(log.read_text(errors="replace")[-3000:], file=sys.stderr)
        raise
    finally:
        end(process)


def _wait(address: str, lives: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if requests.get(f"{address}/api/health/live", timeout=2).ok:
                return
        except requests.RequestException:
            pass
        if not lives() or time.monotonic() > deadline:
            raise SystemExit(f"the site did not start: {log.read_text(errors='replace')[-800:]}")
        time.sleep(0.1)


def some_song(url: str) -> tuple[str, str]:
    """Id and pet name of a finished one."""
    database.connect_to(url)
    with database.connection():
        row: Any = Submission.select().where(Submission.stage == Stage.DONE).order_by(Submission.created_at.desc()).first()
    return row.session_id, row.pet_name


def run(folder: Path, songs: int, number: int) -> bool:
    with PostgresServer() as postgres, RedisServer() as redis:
        url = postgres.make_database()
        began = time.monotonic()
        rows = seed(url, songs, say=lambda line: print(line, file=sys.stderr))
        seconds = round(time.monotonic() - began, 1)
        print(json.dumps({"bench": "admin", "measure": "seeding", "seconds": seconds, "rows": rows}), flush=True)
        session_id, pet_name = some_song(url)
        with site(folder, url, redis.url) as address:
            bench = Bench(address, number)
            good = [bench.page(what, path) for what, path in paths(session_id, pet_name).items()]
            good.append(bench.export("export, first byte", "/admin/submissions.csv"))
            good.append(bench.export("export of one stage, first byte", "/admin/submissions.csv?stage=failed"))
            good.append(bench.fresh("overview fresh", "/admin"))
    return all(good)


def main() -> None:
    parser = argparse.ArgumentParser("scripts/bench admin", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--songs", type=int, default=200_000, help="default: %(default)s")
    parser.add_argument("--requests", type=int, default=25, help="of each page (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="petsong-bench-") as folder:
        sys.exit(0 if run(Path(folder), given.songs, given.requests) else 1)


if __name__ == "__main__":
    main()
