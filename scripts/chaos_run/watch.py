"""Looks on while the drill runs, each in a thread of its own: recoveries, files under their names, what Redis holds."""
import base64
import binascii
import contextlib
import os
import threading
import time
import zlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import redis
from psycopg2.extensions import connection as Connection

from petsong.storage import TEMPORARY_PREFIX
from scripts.chaos_run.house import House


class Watch(threading.Thread):
    """Calls `look` again and again until `end`."""

    pause = 0.5

    def __init__(self) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self.pause):
            self.look()

    def end(self) -> None:
        self._over.set()
        self.join()

    @abstractmethod
    def look(self) -> None:
        """One look; never raises for what the nemesis did."""


@contextlib.contextmanager
def watching(*watches: Watch) -> Iterator[None]:
    for watch in watches:
        watch.start()
    try:
        yield
    finally:
        for watch in watches:
            watch.end()


# ---- recoveries

@dataclass(frozen=True)
class Held:
    """A row in the hands of a process, when it was killed."""

    session_id: str
    stage: str
    claim_no: int
    unknown: bool  # its order may have been accepted: by rule it waits for its webhook, or UNKNOWN_AFTER_MINUTES


@dataclass
class Kill:
    kind: str
    at: float  # time.monotonic()
    held: list[Held]


HELD = """
SELECT session_id, stage, claim_no, stage = 'sending' AND EXISTS (
    SELECT 1 FROM attempts a WHERE a.session_id = s.session_id AND a.ended_at IS NULL
    AND a.call_started_at IS NOT NULL AND a.task_id IS NULL AND a.task_hint IS NULL)
FROM submissions s
WHERE lease_until > clock_timestamp() AND substring(lease_holder FROM ':([0-9]+)$') = ANY(%s)"""
# Taking the lease away raises claim_no by one, and so does each claim.
UNDER_WAY = """
SELECT session_id, stage, claim_no - CASE WHEN lease_until IS NULL THEN 1 ELSE 0 END FROM submissions
WHERE session_id = ANY(%s)"""


class Recoveries(Watch):
    """Recovery: from the kill of a process to the moment when each row that it held is under way again, which is when
    another one has claimed it (claim_no is higher), or when it has moved on. Rows whose order is unknown count apart
    (`waits`): nothing was lost with their process that could be taken up again. Seconds."""

    pause = 0.1

    def __init__(self, house: House) -> None:
        super().__init__()
        self._house = house
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._kills: list[Kill] = []
        self._site_down: tuple[float, int] | None = None  # since when, and the pid that was killed
        self.seconds: list[tuple[str, float]] = []  # by the kind of kill
        self.waits: list[float] = []
        self.site: list[float] = []  # until the site answers again

    def held_by(self, pids: list[int]) -> list[Held]:
        """Nothing where the database is away just now: then there is no telling."""
        try:
            with contextlib.closing(self._house.connect()) as connection, connection.cursor() as cursor:
                cursor.execute(HELD, ([str(pid) for pid in pids],))
                return [Held(*row) for row in cursor.fetchall()]
        except psycopg2.Error:
            return []

    def killed(self, kind: str, held: list[Held]) -> None:
        if held:
            with self._lock:
                self._kills.append(Kill(kind, time.monotonic(), held))

    def site_killed(self, pid: int) -> None:
        self._site_down = (time.monotonic(), pid)

    def look(self) -> None:
        if self._site_down is not None:
            since, killed = self._site_down
            if self._house.supervisor.pids().get("web", killed) != killed and self._house.site_lives():
                self.site.append(time.monotonic() - since)
                self._site_down = None
        with self._lock:
            kills = list(self._kills)
        wanted = [held.session_id for kill in kills for held in kill.held]
        rows = self._rows(wanted) if wanted else {}
        for kill in kills:
            for held in list(kill.held):
                stage, claim_no = rows.get(held.session_id, (held.stage, held.claim_no))
                if stage != held.stage or claim_no > held.claim_no:
                    self._recovered(kill, held)
        with self._lock:
            self._kills = [kill for kill in self._kills if kill.held]

    def _recovered(self, kill: Kill, held: Held) -> None:
        kill.held.remove(held)
        seconds = time.monotonic() - kill.at
        if held.unknown:
            self.waits.append(seconds)
        else:
            self.seconds.append((f"{kill.kind} in {held.stage}", seconds))

    def _rows(self, session_ids: list[str]) -> dict[str, tuple[str, int]]:
        try:
            self._connection = self._connection or self._house.connect()
            with self._connection.cursor() as cursor:
                cursor.execute(UNDER_WAY, (session_ids,))
                return {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
        except psycopg2.Error:
            self._connection = None
            return {}

    def end(self) -> None:
        """What never was under way again counts with the time it was watched for."""
        super().end()
        for kill in self._kills:
            for held in list(kill.held):
                self._recovered(kill, held)


# ---- files

class FileWatch(Watch):
    """A key that exists always holds the whole file: none ever changes under its name."""

    pause = 0.25

    def __init__(self, folders: Mapping[str, Path]) -> None:
        super().__init__()
        self._folders = dict(folders)
        self._seen: dict[str, tuple[int, int]] = {}
        self.changed: list[str] = []

    def look(self) -> None:
        for key, facts in self._files():
            known = self._seen.setdefault(key, facts)
            if known != facts and key not in self.changed:
                self.changed.append(key)

    def _files(self) -> Iterator[tuple[str, tuple[int, int]]]:
        for name, folder in self._folders.items():
            with contextlib.suppress(FileNotFoundError):
                for entry in list(os.scandir(folder)):
                    with contextlib.suppress(FileNotFoundError):
                        found = entry.stat()
                        if not entry.name.startswith(TEMPORARY_PREFIX):
                            yield f"{name}/{entry.name}", (found.st_size, found.st_mtime_ns)


# ---- Redis

class RedisWatch(Watch):
    """Everything that Redis was seen to hold, each value once, in one file: for the search for canaries."""

    pause = 10.0

    def __init__(self, url: str, path: Path) -> None:
        super().__init__()
        self._client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1)
        self._path = path
        self._known: set[int] = set()
        self.looks = 0

    def look(self) -> None:
        try:
            with self._path.open("ab") as file:
                for value in self._values():
                    if hash(value) not in self._known:
                        self._known.add(hash(value))
                        file.write(value + b"\n" + unpacked(value) + b"\n")
            self.looks += 1
        except redis.RedisError:
            return  # paused, or just killed

    def _values(self) -> Iterator[bytes]:
        for key in self._client.scan_iter(count=1000):
            yield key
            with contextlib.suppress(redis.ResponseError):  # gone, and come again as something else
                yield from self._value(key)

    def _value(self, key: bytes) -> Iterator[bytes]:
        client: Any = self._client
        kind = client.type(key)
        if kind == b"string":
            yield client.get(key) or b""
        elif kind == b"hash":
            for name, value in client.hgetall(key).items():
                yield from (name, value)
        elif kind == b"list":
            yield from client.lrange(key, 0, -1)
        elif kind == b"set":
            yield from client.smembers(key)
        elif kind == b"zset":
            yield from client.zrange(key, 0, -1)
        elif kind == b"stream":
            for _, fields in client.xrange(key):
                yield from fields.values()


def unpacked(value: bytes) -> bytes:
    """RQ packs what it stores: zlib, and in results base64 around it."""
    for candidate in (value, _from_base64(value)):
        with contextlib.suppress(zlib.error):
            return zlib.decompress(candidate)
    return b""


def _from_base64(value: bytes) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""
