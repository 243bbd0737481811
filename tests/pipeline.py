"""A whole campaign on this machine for the test_pipeline_ files; pipeline_fixtures.py hands it to them.

World: a database of either kind, a Redis of its own, the site for webhooks, the song service's stand-in; times are scaled
down. Jobs run in the test itself (`drive`) or in real pools (`pool`). Run as a program this file is such a pool, whose
jobs can be stopped dead at a named point: a test then kills the process right there, or lets it go on much later.
"""

import logging
import os
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest import mock

import redis
import requests
from rq import SimpleWorker
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

import jobs.tools
import jobs.worker
import kit
from jobs.dispatch import process_pending_queue
from jobs.tools import Tools
from jobs.upkeep import sweep_if_late
from petsong import database
from petsong.lifecycle.stages import ENDS, Stage
from petsong.models import Attempt, Event, Submission
from petsong.settings import Settings
from render_media import photo
from scripts.processes import end, session_pids, spawn
from scripts.sandbox.server import SandboxServer
from scripts.servers import RedisServer, free_port

ROOT = Path(__file__).resolve().parent.parent
QUEUES = ("periodic", "dispatch", "sonauto", "downloads", "renders")
FAST: dict[str, Any] = {
    "poll_interval": 0.2, "sweep_interval": 0.2, "queue_processor_interval": 1, "credits_check_interval": 5,
    "timeout_check_interval": 0.5, "unknown_after_minutes": 0.015, "song_max_minutes": 0.5, "webhook_timeout_minutes": 0.3,
    "retry_backoff": (0.1, 0.2, 0.3), "api_request_timeout_seconds": 1, "form_submit_retry": 1000,
    "workers": {"dispatch": 1, "sonauto": 2, "downloads": 1, "renders": 1, "periodic": 1},
    "video_formats": ("square",), "video_resolution": 120, "video_fps": 5, "vinyl_rpm": 60, "log_format": "text",
}
# Constants of the product that are no settings, scaled down likewise: in the test's own process and in pools,
TUNED: dict[str, float] = {
    "jobs.collect.UNREACHABLE_SECONDS": 0.5, "jobs.worker.HEARTBEAT_SECONDS": 0.5,
}
# and where a test waits for leases to end.
LEASES: dict[str, float] = {
    "jobs.dispatch.LEASE_SECONDS": 2, "jobs.collect.READBACK_LEASE_SECONDS": 2, "jobs.collect.DOWNLOAD_LEASE_SECONDS": 2,
    "jobs.produce.LEASE_SECONDS": 4, "jobs.renditions.LEASE_SECONDS": 4,
}
# Where a pool's job can be stopped: owner, attribute, before or after it, and what its arguments must name.
# Never inside a transaction: there SQLite would stand still for everybody, as long as the freeze lasts.
POINTS = {
    "order_claimed": ("jobs.dispatch", "begin_call", "before", ""),
    "order_marked": ("jobs.dispatch", "begin_call", "after", ""),
    "order_answered": ("jobs.dispatch", "record_answer", "before", ""),
    "order_recorded": ("jobs.dispatch", "record_answer", "after", ""),
    "song_fetched": ("jobs.collect", "download_song", "after", ""),
    "song_stored": ("petsong.storage.LocalStorage", "put_file", "after", "audio/"),
    "render_begins": ("jobs.produce", "render_video", "before", ""),
    "render_made": ("jobs.produce", "render_video", "after", ""),
    "video_stored": ("petsong.storage.LocalStorage", "put_file", "after", "video/"),
    "format_begins": ("jobs.renditions", "render_video", "before", ""),
    "format_made": ("jobs.renditions", "render_video", "after", ""),
    "format_stored": ("petsong.storage.LocalStorage", "put_file", "after", ".hd."),
}


class World:
    """`settings` and `tools` are those of the running test; `submit` makes a row as the form would."""

    def __init__(self, folder: Path, url: str, sandbox: SandboxServer) -> None:
        self.folder, self.sandbox, self.client = folder, sandbox, sandbox.client
        self.database_url = url
        self.redis_server = RedisServer()
        self.port = free_port()
        self.stops = folder / "stops"
        self.stops.mkdir(parents=True)
        self._picture = photo(folder / "photo.jpg")
        self._site: Any = None
        self.redis_server.start()
        self.redis = redis.Redis.from_url(self.redis_server.url)
        kit.open_database(url)
        self.use()

    # ---- before and after a test

    def use(self, **changes: Any) -> None:
        """Settings from now on, for this process and for pools that start later."""
        room = self.folder / "storage"
        values = {
            "external_api_url": f"{self.sandbox.url}/v1", "sonauto_api_key": self.sandbox.key,
            "song_hosts": (self.sandbox.url,), "webhook_base_url": f"http://127.0.0.1:{self.port}",
            "img_storage": room / "uploads", "audio_storage": room / "audio", "video_storage": room / "video",
            "turn_cache": room / "turns", **FAST, **changes,
        }
        self.settings = kit.make_settings(self.database_url, self.redis_server.url, **values)
        if database.db.obj is not None and not database.db.is_closed():
            database.db.close()
        jobs.tools.tools.cache_clear()
        with mock.patch("jobs.tools.load_settings", lambda: self.settings), mock.patch("jobs.tools.logs"):
            self.tools = jobs.tools.tools()
        database.open_connection()

    def reset(self) -> None:
        self.use()
        self.client.reset()
        self.redis.flushall()
        kit.empty_tables()
        for name in ("uploads", "audio", "video"):
            for file in (self.folder / "storage" / name).glob("*"):
                file.unlink()
        for file in self.stops.glob("*"):
            file.unlink()

    def close(self) -> None:
        if not database.db.is_closed():
            database.db.close()
        if self._site is not None:
            end(self._site, grace=3)
        self.redis.close()
        self.redis_server.close()

    def environment(self) -> dict[str, str]:
        names = {name.upper() for name in Settings.model_fields}
        ours = {name.upper(): _text(value) for name, value in self.settings if value is not None}
        kept = {name: value for name, value in os.environ.items() if name not in names}
        return {**kept, **ours, "PYTHONPATH": str(ROOT), "PETSONG_TEST_STOPS": str(self.stops)}

    def open_site(self) -> None:
        """The web app for webhooks, once per run; a test needs no more of it than its address."""
        if self._site is not None:
            return
        argv = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--worker-class", "gthread"]
        argv += ["--threads", "4", "--no-control-socket", "wsgi:app"]
        with (self.folder / "site.log").open("wb") as log:
            self._site = spawn(argv, log, env=self.environment(), cwd=ROOT)
        wait_until(self._site_answers, 40, "the site")

    def _site_answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/api/health/live", timeout=2).ok
        except requests.RequestException:
            return False

    # ---- visitors

    def submit(self, pet_name: str = "Bello", **values: Any) -> str:
        session_id = f"row{secrets.token_hex(6)}"
        self.tools.storage.put_bytes(f"uploads/{session_id}.jpg", self._picture.read_bytes())
        kit.submit(self.settings, session_id, pet_name=pet_name, **values)
        self.tools.queues.enqueue("process_pending_queue")
        return session_id

    # ---- work

    def drive(
        self, until: Callable[[], bool] | None = None, seconds: float = 100, queues: Iterable[str] = QUEUES
    ) -> None:
        """Sweep and work until every row has ended, or as told. No job may have crashed."""
        finished, ends = until or self.all_ended, time.monotonic() + seconds
        while True:
            sweep_if_late(self.tools)
            work_off(self.tools, queues)
            if finished():
                break
            assert time.monotonic() < ends, f"not there after {seconds} s: {self.story()}"
            time.sleep(0.04)
        assert self.crashed_jobs() == []

    def collect(self, rows: Iterable[str], seconds: float = 100) -> None:
        """Drive until all of these songs are here and wait for their render, which takes the time, or have failed."""
        collected = (Stage.RENDERING, Stage.FAILED)
        self.drive(lambda: all(kit.row(name).stage in collected for name in rows), seconds, QUEUES[:-1])

    @contextmanager
    def pool(self, *queues: str, tuned: dict[str, float] | None = None, **settings: Any) -> Iterator["Pool"]:
        if settings:
            self.use(**settings)
        running = Pool(self, queues, {**TUNED, **(tuned or {})})
        try:
            yield running
        finally:
            running.kill()

    def stop_at(self, point: str) -> None:
        """The next job of a pool that comes to this point stops there, once."""
        assert point in POINTS
        (self.stops / point).touch()

    def stopped(self, point: str, seconds: float = 60) -> int:
        """Pid of the process that stands at this point."""
        wait_until(lambda: bool(list(self.stops.glob(f"{point}.*"))), seconds, f"a job at {point}; {self.story()}")
        [file] = self.stops.glob(f"{point}.*")
        file.unlink()
        pid = int(file.suffix[1:])
        wait_until(lambda: process_state(pid) == "T", 20, f"{pid} to stop")
        return pid

    # ---- what came of it

    def all_ended(self) -> bool:
        return not Submission.select().where(Submission.stage.not_in(list(ENDS))).exists()

    def wait_for_ends(self, seconds: float = 100) -> None:
        wait_until(self.all_ended, seconds, lambda: f"every row to end: {self.story()}")

    def orders(self, session_id: str) -> list[dict[str, Any]]:
        """The service's accepted orders that carry a token of this row."""
        tokens = {attempt.token for attempt in kit.attempts(session_id)}
        return [order for order in self.client.orders() if token_of(order) in tokens]

    def assert_paid_once(self) -> None:
        """No attempt was ordered twice, and a row's second order is a flagged attempt's."""
        ordered = Counter(token_of(order) for order in self.client.orders())
        assert set(ordered.values()) <= {1}, "an attempt was sent twice"
        attempts: list[Any] = list(Attempt.select())
        known = {attempt.token for attempt in attempts}
        assert set(ordered) <= known
        for row in Submission.select():
            mine = [attempt for attempt in attempts if attempt.session_id == row.session_id]
            paid = sum(ordered[attempt.token] for attempt in mine)
            flagged = sum(attempt.flagged for attempt in mine)
            assert paid <= 1 + flagged, f"{paid} orders, {flagged} flagged: {self.story()}"

    def reasons(self, session_id: str) -> list[str]:
        """Of all that happened to the row, in order."""
        return [event.reason for event in Event.select().where(Event.submission == session_id).order_by(Event.id)]

    def crashed_jobs(self) -> list[str]:
        registries = [FailedJobRegistry(queue=self.tools.queues.queue(name)) for name in QUEUES]
        return [job_id for registry in registries for job_id in registry.get_job_ids()]

    def story(self) -> str:
        lines = []
        rows: Any = Submission.select().where(Submission.stage != "done").order_by(Submission.created_at).limit(8)
        for row in rows:
            steps = " ".join(f"{e.from_stage}>{e.to_stage}:{e.reason}" for e in row.events.order_by(Event.id))
            tried = [(a.outcome, a.ended_as, a.flagged) for a in kit.attempts(row.session_id)]
            lines.append(f"{row.pet_name} is {row.stage} {row.fail_reason or ''} tries={row.tries} {tried}: {steps}")
        return "\n".join(lines)


class Burst(SimpleWorker):
    def _install_signal_handlers(self) -> None:
        """The test run's own stay."""


def work_off(tools: Tools, queues: Iterable[str]) -> None:
    """Some of the messages that wait, in this process."""
    waiting, client = [tools.queues.queue(name) for name in queues], tools.queues.client
    Burst(waiting, connection=client, serializer=JSONSerializer).work(burst=True, max_jobs=10, logging_level="ERROR")


class Pool:
    """A real `jobs.worker`: a parent, a worker process a queue, a forked process a job."""

    def __init__(self, world: World, queues: tuple[str, ...], tuned: dict[str, float]) -> None:
        self.log = world.folder / f"pool-{secrets.token_hex(4)}.log"
        environment = world.environment() | {"PETSONG_TEST_TUNED": ",".join(f"{k}={v}" for k, v in tuned.items())}
        with self.log.open("wb") as out:
            argv = [sys.executable, str(Path(__file__)), *queues]
            self.process = spawn(argv, out, env=environment, cwd=world.folder)
        wait_until(lambda: "pool starts" in self.said() or self.process.poll() is not None, 40, "the pool")
        assert self.process.poll() is None, self.said()

    @property
    def pid(self) -> int:
        return self.process.pid

    def workers(self) -> list[int]:
        return children(self.pid)

    def jobs(self) -> list[int]:
        """The processes of the jobs that run."""
        return [job for worker in self.workers() for job in children(worker)]

    def family(self) -> list[int]:
        return session_pids(self.pid)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """Parent, workers and jobs, all at once."""
        end(self.process, grace=0, first=signal.SIGKILL)

    def stop(self) -> None:
        """As a deployment does."""
        end(self.process, grace=15)


# ---- processes and waiting

def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}:{number}" for name, number in value.items())
    return ",".join(str(part) for part in value) if isinstance(value, tuple) else str(value)


def token_of(order: dict[str, Any]) -> str:
    return str(order["webhook_url"]).rpartition("/")[2]


def wait_until(check: Callable[[], Any], seconds: float, what: str | Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what() if callable(what) else what}"
        time.sleep(0.03)


def _stat(pid: int) -> list[str]:
    """State, parent, …: the fields of /proc/PID/stat behind the name; nothing where there is no such process."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["", "0"]


def process_state(pid: int) -> str:
    """One letter as ps shows it; empty when it is gone."""
    return _stat(pid)[0]


def parent(pid: int) -> int:
    return int(_stat(pid)[1])


def children(pid: int) -> list[int]:
    pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    return [child for child in pids if parent(child) == pid and process_state(child) not in ("", "Z", "X")]


def kill_job(pid: int) -> None:
    """The job's own process only: its worker lives, and notices."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_job_and_worker(pid: int) -> None:
    """Nobody is left to notice."""
    os.kill(parent(pid), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)


# ---- the pool as a program

def _watch(point: str, folder: Path) -> None:
    owner, name, side, named = POINTS[point]
    place = resolve_name(owner)
    real = getattr(place, name)

    @wraps(real)
    def watched(*args: Any, **options: Any) -> Any:
        if side == "before" and named in str(args):
            _perhaps_stop(point, folder)
        result = real(*args, **options)
        if side == "after" and named in str(args):
            _perhaps_stop(point, folder)
        return result

    setattr(place, name, watched)


def _perhaps_stop(point: str, folder: Path) -> None:
    try:
        (folder / point).rename(folder / f"{point}.{os.getpid()}")  # of several that come here one is stopped
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGSTOP)


def dispatch_for_ever() -> None:
    """Claims and orders as a pool would, only in one process, so that many songs cost little."""
    tools = jobs.tools.tools()
    logging.info("pool starts")
    while True:
        process_pending_queue()
        work_off(tools, ("dispatch", "sonauto"))
        with database.connection():
            sweep_if_late(tools)


def main() -> int:
    for pair in os.environ["PETSONG_TEST_TUNED"].split(","):
        dotted, _, value = pair.partition("=")
        owner, _, name = dotted.rpartition(".")
        assert hasattr(resolve_name(owner), name), dotted
        setattr(resolve_name(owner), name, float(value))
    for point in POINTS:
        _watch(point, Path(os.environ["PETSONG_TEST_STOPS"]))
    if sys.argv[1:] == ["dispatch_for_ever"]:
        dispatch_for_ever()
    return jobs.worker.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
