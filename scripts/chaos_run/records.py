"""Three records that know nothing of each other: what clients were told, the service's ledger, our database and disk.

Everything is plain data, so that the judge (checker.py) is a pure function of it.
"""
import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import RealDictCursor

from scripts.chaos_run.hearing import Heard, hear

Row = dict[str, Any]
TABLES = {
    "submissions": "created_at, session_id", "attempts": "session_id, number", "events": "id", "renditions": "id",
}


@dataclass(frozen=True)
class Told:
    """One answer to a client. `http` is 0 where none came (the process that had it was killed, or too slow)."""

    at: float  # seconds since 1970
    visitor: str
    asked: str  # submit, status, result or video
    http: int
    code: str = ""
    session_id: str = ""
    status: str = ""  # pending, processing, success, fail; of a video its SHA-256


@dataclass
class Records:
    told: list[Told] = field(default_factory=list)
    ledger: dict[str, Any] = field(default_factory=lambda: {"orders": [], "refusals": []})
    submissions: list[Row] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    renditions: list[Row] = field(default_factory=list)
    disk: dict[str, str] = field(default_factory=dict)  # SHA-256 by key, once what is old enough was cleared away
    heard: dict[str, Heard] = field(default_factory=dict)  # by key, of finished videos
    changed: list[str] = field(default_factory=list)  # keys whose file was seen to change, or to grow
    processes: list[str] = field(default_factory=list)  # what still ran though there was nothing to do, or after the stop
    leaks: list[str] = field(default_factory=list)  # canaries seen in logs or Redis
    slots: int = 10
    fps: float = 5

    def save(self, path: Path) -> None:
        """For whoever wants to know more than the findings say."""
        plain = {**vars(self), "told": [asdict(one) for one in self.told]}
        plain["heard"] = {key: asdict(one) for key, one in self.heard.items()}
        path.write_text(json.dumps(plain, default=str, indent=1))


def read_tables(url: str) -> dict[str, list[Row]]:
    """The tables that matter, by plain SQL: the judge does not see through the product's own eyes."""
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
            return {name: _rows(cursor, name, order) for name, order in TABLES.items()}
    finally:
        connection.close()


def _rows(cursor: Any, table: str, order: str) -> list[Row]:
    cursor.execute(f"SELECT * FROM {table} ORDER BY {order}")  # noqa: S608 - names from the table above
    return [dict(row) for row in cursor.fetchall()]


def read_disk(folders: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 by key of every file, temporary ones too: those left by the dead are the product's to clear away."""
    found = {}
    for name, folder in folders.items():
        for path in sorted(folder.glob("*")) + sorted(folder.glob(".tmp-*")):
            found[f"{name}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def hear_videos(keys: Iterable[str], folders: Mapping[str, Path], ffmpeg: str = "ffmpeg") -> dict[str, Heard]:
    """What each video sounds like, two at a time."""
    wanted = [key for key in keys if _path(key, folders).is_file()]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(wanted, pool.map(lambda key: hear(_path(key, folders), ffmpeg), wanted), strict=True))


def _path(key: str, folders: Mapping[str, Path]) -> Path:
    folder, _, name = key.partition("/")
    return folders[folder] / name
