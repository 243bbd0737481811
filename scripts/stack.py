"""The whole of petsong as processes on this machine: Redis, a stand-in for the song service, site, workers, scheduler.

All it keeps lies in one state folder, so that the next start goes on where this one ended.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import requests

from scripts.processes import dies_with_parent
from scripts.servers import find_redis, free_port, redis_answers, redis_argv, redis_url, short_folder
from scripts.supervisor import Child, StartError, Supervisor

ROOT = Path(__file__).resolve().parent.parent
QUEUES = ("dispatch", "sonauto", "downloads", "periodic")
LOOPBACK = "127.0.0.1"
HEALTHY_SECONDS = 45.0
# Of the machine's own settings those that would send a demo's songs to other places.
NOT_OURS = ("STORAGE_URL", "MEDIA_BASE_URL", "SENDFILE", "SENTRY_DSN", "VIDEO_ASSETS_DIR")


class StackError(RuntimeError):
    """The stack cannot run; the message is one line with the way out."""


class State:
    """The state folder: locked while we use it, with the addresses and the secret that later starts take again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise StackError(f"{folder} is in use by another demo: stop that one, or take --state DIR") from None

    def close(self) -> None:
        self._lock.close()

    def secret_key(self) -> str:
        """Made once, readable by the owner alone."""
        path = self.folder / "secret_key"
        if not path.exists() or len(path.read_text()) < 64:  # a start that was killed may have left a part of it
            path.unlink(missing_ok=True)
            with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
        return path.read_text()

    def port(self, name: str, preferred: int = 0) -> int:
        """The port this folder used last time, where it is free: songs under way and browsers know it. Otherwise the
        preferred one, otherwise any."""
        path = self.folder / "ports.json"
        known: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):
            known = json.loads(path.read_text())
        taken = {port for other, port in known.items() if other != name}
        wanted = [port for port in (known.get(name, 0), preferred) if port and port not in taken and port_is_free(port)]
        known[name] = wanted[0] if wanted else free_port()
        path.write_text(json.dumps(known))
        return known[name]

    def redis_folder(self) -> Path:
        """A new folder for a private socket; what a killed demo left of its own goes first."""
        note = self.folder / "redis-folder"
        if note.exists() and Path(note.read_text()).name.startswith("petsong-redis-"):
            shutil.rmtree(note.read_text(), ignore_errors=True)
        folder = short_folder("petsong-redis-")
        note.write_text(str(folder))
        return folder


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections do not count
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def find_ffmpeg() -> str:
    """ffmpeg by the FFMPEG setting, from PATH, else the embedded one. Raises StackError."""
    found = os.environ.get("FFMPEG") or shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise StackError(f"ffmpeg is missing ({error}): sudo apt-get install ffmpeg, or set FFMPEG") from error


class Stack:
    """`start()` returns when the site answers healthy; `stop()` leaves no process and no socket.

    `settings` go over the demo's own; `sandbox` are further arguments of scripts.sandbox.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        sandbox: Sequence[str] = (),
        say: Callable[[str], None] = print,
    ) -> None:
        self.state = State(folder)
        self.folder = folder
        self._say = say
        self._sandbox_arguments = tuple(sandbox)
        self._redis_folder: Path | None = None
        self._ffmpeg = find_ffmpeg()
        self.port = self._web_port()
        self.sandbox_port = self.state.port("sandbox")
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.sandbox_url = f"http://{LOOPBACK}:{self.sandbox_port}"
        self.videos = folder / "storage" / "video"
        self.supervisor = Supervisor(folder / "logs", ROOT, say)
        self.redis_url = os.environ.get("REDIS_URL") or self._private_redis()
        self.env = {**os.environ, **self._settings(), **(settings or {})}

    def start(self) -> None:
        """Raises StackError or StartError, with all stopped again."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process and remove the socket. Does nothing the second time."""
        self.supervisor.stop()
        if self._redis_folder is not None:
            shutil.rmtree(self._redis_folder, ignore_errors=True)
        self.state.close()

    def _start(self) -> None:
        with self._begin_migration() as migration:  # beside the servers' start: Python's imports take the time
            try:
                self.supervisor.start(*self._servers())
                self._finish_migration(migration)
            finally:
                migration.kill()  # nothing to do once it ended
        if not redis_answers(self.redis_url):
            raise StackError("REDIS_URL does not answer: start that Redis, or unset REDIS_URL for a private one")
        self.supervisor.start(*self._processes())
        self.supervisor.wait_for(self.healthy, "the site", HEALTHY_SECONDS)
        self.supervisor.watch()

    def healthy(self) -> bool:
        """Whether Redis, database and a worker of every queue are there, as the site itself says."""
        try:
            return requests.get(f"{self.url}/api/health", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def _web_port(self) -> int:
        wanted = os.environ.get("PORT", "")
        if not wanted:
            return self.state.port("web", preferred=8000)
        if not wanted.isdecimal() or not 0 < int(wanted) < 65536 or not port_is_free(int(wanted)):
            raise StackError(f"PORT={wanted} is not a free port: unset it, or take another such as PORT=8001")
        return int(wanted)

    def _private_redis(self) -> str:
        self._redis_folder = self.state.redis_folder()
        return redis_url(self._redis_folder)

    def _settings(self) -> dict[str, str]:
        storage = self.folder / "storage"
        return {
            **dict.fromkeys(NOT_OURS, ""),
            "DATABASE_URL": f"sqlite:///{self.folder / 'petsong.db'}",
            "REDIS_URL": self.redis_url,
            "SECRET_KEY": self.state.secret_key(),
            "EXTERNAL_API_URL": f"{self.sandbox_url}/v1",
            "SONAUTO_API_KEY": "sksonauto_sandbox",
            "SONG_HOSTS": self.sandbox_url,
            "WEBHOOK_BASE_URL": self.url,
            "PUBLIC_BASE_URL": self.url,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "1",
            "SUBMISSIONS_PER_HOUR_PER_IP": "1000",  # one person tries many songs here
            "IMG_STORAGE": str(storage / "uploads"),
            "AUDIO_STORAGE": str(storage / "audio"),
            "VIDEO_STORAGE": str(self.videos),
            "TURN_CACHE": str(storage / "turns"),
            "FFMPEG": self._ffmpeg,
            "LOG_FORMAT": "text",
            "PYTHONUNBUFFERED": "1",
        }

    def _child(self, name: str, *arguments: str, ready: Callable[[], bool] | None = None) -> Child:
        return Child(name, (sys.executable, "-m", *arguments), self.env, ready)

    def _servers(self) -> list[Child]:
        argv = ["--port", str(self.sandbox_port), "--data", str(self.folder / "sandbox"), *self._sandbox_arguments]
        servers = [self._child("sandbox", "scripts.sandbox", *argv, ready=self._sandbox_listens)]
        if self._redis_folder is not None:
            binary = find_redis()
            if binary.parent == Path(sys.executable).parent:
                self._say("no redis-server on PATH: taking the embedded one, 6.2 (on a private socket, for demos only)")
            argv = redis_argv(binary, self._redis_folder)
            servers.insert(0, Child("redis", tuple(argv), self.env, lambda: redis_answers(self.redis_url)))
        return servers

    def _sandbox_listens(self) -> bool:
        log = self.supervisor.log("sandbox")
        return log.exists() and "listening on" in log.read_text(errors="replace")

    def _processes(self) -> list[Child]:
        return [
            self._child("web", "gunicorn", *self._gunicorn()),
            self._child("worker", "jobs.worker", *QUEUES),
            self._child("renderer", "jobs.worker", "renders"),
            self._child("scheduler", "jobs.schedule"),
        ]

    def _gunicorn(self) -> list[str]:
        memory = ["--worker-tmp-dir", "/dev/shm"] if os.access("/dev/shm", os.W_OK) else []  # noqa: S108
        return [
            *("--bind", f"{LOOPBACK}:{self.port}"),
            *("--worker-class", "gthread"),
            *("--workers", "1", "--threads", "8"),
            *("--graceful-timeout", "2"),
            "--no-control-socket",
            *memory,
            "wsgi:app",
        ]

    def _begin_migration(self) -> subprocess.Popen[str]:
        argv = dies_with_parent([sys.executable, "-m", "petsong.migrate"])
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, cwd=ROOT, env=self.env, stdout=pipe, stderr=subprocess.STDOUT, text=True)

    def _finish_migration(self, migration: subprocess.Popen[str]) -> None:
        said, _ = migration.communicate(timeout=120)
        if migration.returncode != 0:
            last = "\n".join(said.splitlines()[-5:])
            raise StartError(f"python -m petsong.migrate ended with {migration.returncode}:\n{last}")
