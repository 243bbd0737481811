"""All of the product on this machine, as in production: PostgreSQL, Redis, gunicorn, two pools, the scheduler.

What is scaled, and what is not: the song service's times and our patience with it shrink, so that minutes become seconds.
All that recovers from a kill keeps the product's own figures (signs of life, leases, the sweep), or the measured recoveries
would say nothing. PostgreSQL commits as durably as a killed process asks for; only the machine's own power is trusted.
"""
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import requests

from scripts.chaos_run import proc
from scripts.processes import dies_with_parent
from scripts.sandbox.client import SandboxClient
from scripts.servers import PostgresServer, RedisServer, free_port
from scripts.stack import find_ffmpeg
from scripts.supervisor import Child, StartError, Supervisor

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
HEALTHY_SECONDS = 60.0
SONG_SECONDS = 12.0
SLOTS = 10
FPS = 5

# One minute of the service is about two seconds here; a song takes 2 to 8 s instead of one to four minutes.
SCALED = {
    "POLL_INTERVAL": "2", "QUEUE_PROCESSOR_INTERVAL": "5", "CREDITS_CHECK_INTERVAL": "20", "TIMEOUT_CHECK_INTERVAL": "5",
    "UNKNOWN_AFTER_MINUTES": "0.2", "SONG_MAX_MINUTES": "0.7", "WEBHOOK_TIMEOUT_MINUTES": "0.3", "RETRY_BACKOFF": "1,3,6",
    "API_REQUEST_TIMEOUT_SECONDS": "5",
}
# Constants that are no settings; both are pauses of ten minutes.
CONSTANTS = {"jobs.collect.UNREACHABLE_SECONDS": 6, "jobs.produce.OWN_FAULT_SECONDS": 6}
SMALL_VIDEOS = {"VIDEO_FORMATS": "square", "VIDEO_RESOLUTION": "120", "VIDEO_FPS": str(FPS), "VINYL_RPM": "60"}
# Songs come thirty times as fast as to a real service, so one renderer more.
WORKERS = {"WORKERS": "dispatch:1,sonauto:2,downloads:2,renders:2,periodic:1"}
POOLS = {"worker": ("dispatch", "sonauto", "downloads", "periodic"), "renderer": ("renders",)}


class DurablePostgres(PostgresServer):
    """Keeps what it committed when it is killed: the drill asks whether we do."""

    tuning = ("fsync=off", "synchronous_commit=on", "full_page_writes=off", "max_connections=200", "jit=off")


@dataclass
class Options:
    settings: Mapping[str, str] = field(default_factory=dict)
    sandbox: Sequence[str] = ()
    launch: Sequence[str] = ()  # further arguments of launch.py


class House:
    """`start()` returns when the site is healthy; `stop()` ends all processes, `close()` removes the servers' folders."""

    def __init__(self, folder: Path, options: Options, say: Callable[[str], None]) -> None:
        self.folder, self.options = folder, options
        self.mark = f"PETSONG_DRILL={secrets.token_hex(8)}"
        self.secrets = {"SECRET_KEY": secrets.token_hex(24), "SONAUTO_API_KEY": f"sksonauto_{secrets.token_hex(12)}"}
        self.port, self.sandbox_port = free_port(), free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.sandbox_url = f"http://{LOOPBACK}:{self.sandbox_port}"
        self.sandbox = SandboxClient(self.sandbox_url, self.secrets["SONAUTO_API_KEY"])
        self.folders = {name: folder / "storage" / name for name in ("uploads", "audio", "video")}
        self.logs = folder / "logs"
        self.ffmpeg = find_ffmpeg()
        self.redis, self.postgres = RedisServer(), DurablePostgres()
        self.supervisor = Supervisor(self.logs, ROOT, say, grace=15)
        self.database_url = ""
        self.env: dict[str, str] = {}

    def start(self) -> None:
        """Raises StartError, ServerError."""
        self.redis.start()
        self.postgres.start()
        self.database_url = self.postgres.make_database()
        self.env = self._environment()
        self.supervisor.start(self._sandbox())
        self._migrate()
        self.supervisor.start(*self._processes())
        self.supervisor.wait_for(self.healthy, "the site", HEALTHY_SECONDS)
        self.supervisor.watch()

    def stop(self) -> None:
        self.supervisor.stop()

    def close(self) -> None:
        self.supervisor.stop()
        self.sandbox.close()
        self.redis.close()
        self.postgres.close()

    # ---- looking at it

    def healthy(self) -> bool:
        return self._answers("/api/health", 200)

    def site_lives(self) -> bool:
        return self._answers("/api/health/live", 200)

    def _answers(self, path: str, status: int) -> bool:
        try:
            return requests.get(self.url + path, timeout=2).status_code == status
        except requests.RequestException:
            return False

    def pool_pids(self) -> list[int]:
        pids = self.supervisor.pids()
        return [pids[name] for name in POOLS if name in pids]

    def workers(self) -> list[proc.Process]:
        return [worker for pid in self.pool_pids() for worker in proc.children(pid)]

    def horses(self) -> list[proc.Process]:
        """Processes of jobs; those whose worker was killed hang on the pool itself."""
        return [horse for worker in self.workers() for horse in proc.children(worker.pid)]

    def web_workers(self) -> list[proc.Process]:
        pid = self.supervisor.pids().get("web")
        return proc.children(pid) if pid else []

    def expected_processes(self) -> list[proc.Process]:
        """Those that live while there is nothing to do."""
        heads = [found for pid in self.supervisor.pids().values() if (found := proc.find(pid))]
        return heads + self.workers() + self.web_workers()

    def connect(self) -> "psycopg2.extensions.connection":
        """A connection of the drill's own. Raises psycopg2.OperationalError while the server is away."""
        connection = psycopg2.connect(self.database_url, connect_timeout=2)
        connection.autocommit = True
        return connection

    # ---- starting it

    def _environment(self) -> dict[str, str]:
        storage = self.folder / "storage"
        name, _, value = self.mark.partition("=")
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder), name: value,
            "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8",
            "TMPDIR": str(self._temporary()),
            "DATABASE_URL": self.database_url, "REDIS_URL": self.redis.url, **self.secrets,
            "EXTERNAL_API_URL": f"{self.sandbox_url}/v1", "SONG_HOSTS": self.sandbox_url,
            "WEBHOOK_BASE_URL": self.url, "PUBLIC_BASE_URL": self.url, "PORT": str(self.port), "WEB_CONCURRENCY": "2",
            "IMG_STORAGE": str(self.folders["uploads"]), "AUDIO_STORAGE": str(self.folders["audio"]),
            "VIDEO_STORAGE": str(self.folders["video"]), "TURN_CACHE": str(storage / "turns"), "FFMPEG": self.ffmpeg,
            # All visitors come from one address here.
            "SUBMISSIONS_PER_HOUR_PER_IP": "1000000", "RESULTS_PER_HOUR_PER_IP": "1000000",
            "MAX_CONCURRENT_REQUESTS": str(SLOTS), **SMALL_VIDEOS, **WORKERS, **SCALED, **self.options.settings,
        }

    def _temporary(self) -> Path:
        folder = self.folder / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _migrate(self) -> None:
        argv = dies_with_parent([sys.executable, "-m", "petsong.migrate"])
        done = subprocess.run(argv, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise StartError(f"python -m petsong.migrate ended with {done.returncode}: {done.stderr[-500:]}")

    def _sandbox(self) -> Child:
        # It takes more songs at once than we may send: if we do, its ledger shows it.
        argv = ["--port", str(self.sandbox_port), "--data", str(self.folder / "sandbox"), "--slots", "1000"]
        argv += ["--key", self.secrets["SONAUTO_API_KEY"], "--credits", "90000000", "--tune", "tone"]
        argv += ["--song-seconds", f"{SONG_SECONDS:g}", "--align-seconds", "1", *self.options.sandbox]
        return Child("sandbox", (sys.executable, "-m", "scripts.sandbox", *argv), self.env, self._sandbox_listens)

    def _sandbox_listens(self) -> bool:
        log = self.supervisor.log("sandbox")
        return log.exists() and "listening on" in log.read_text(errors="replace")

    def _processes(self) -> list[Child]:
        pools = [self._product(name, "jobs.worker", *queues) for name, queues in POOLS.items()]
        web = self._product("web", "gunicorn", "--bind", f"{LOOPBACK}:{self.port}", "wsgi:app")
        return [web, *pools, self._product("scheduler", "jobs.schedule")]

    def _product(self, name: str, module: str, *arguments: str) -> Child:
        constants = {} if name == "web" else CONSTANTS  # the web imports no jobs
        scaled = [part for dotted, value in constants.items() for part in ("--set", f"{dotted}={value}")]
        argv = (sys.executable, "-m", "scripts.chaos_run.launch", *scaled, *self.options.launch, module, *arguments)
        return Child(name, argv, self.env)
