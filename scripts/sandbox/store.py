"""The stand-in's memory: one SQLite file, so that tasks, ledger, settings and faults outlive a kill."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL UNIQUE, accepted_at REAL NOT NULL,
    ends_at REAL NOT NULL, outcome TEXT NOT NULL, credits INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS tasks_unfinished ON tasks (ends_at);
CREATE TABLE IF NOT EXISTS refusals (at REAL NOT NULL, status INTEGER NOT NULL, reason TEXT NOT NULL, prompt TEXT);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY, task_id TEXT NOT NULL, due_at REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (done, due_at);
CREATE TABLE IF NOT EXISTS calls (task_id TEXT NOT NULL, at REAL NOT NULL, status TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY AUTOINCREMENT, fault TEXT NOT NULL, match TEXT NOT NULL, count INTEGER, share REAL,
    starts_at REAL NOT NULL, ends_at REAL, seconds REAL, seen INTEGER NOT NULL DEFAULT 0,
    hits INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS strikes (
    at REAL NOT NULL, fault TEXT NOT NULL, fault_id INTEGER, method TEXT NOT NULL, path TEXT NOT NULL,
    task_id TEXT NOT NULL, status INTEGER);
CREATE TABLE IF NOT EXISTS trespasses (at REAL NOT NULL, request TEXT NOT NULL, with_key INTEGER NOT NULL);
"""
# Columns that came later: a memory from before them gets them at the next start.
ADDED = (
    ("faults", "number", "INTEGER"), ("deliveries", "said", "TEXT"), ("calls", "said", "TEXT"), ("refusals", "faults", "TEXT"),
)


class Store:
    """One connection behind one lock: at the loads of a test there is nothing to win by more."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._connection.row_factory = sqlite3.Row
        # A killed process loses nothing at synchronous = normal, and every order need not wait for the disk.
        self._connection.executescript("PRAGMA journal_mode = wal; PRAGMA synchronous = normal;" + SCHEMA)
        for table, column, kind in ADDED:
            if column not in [row["name"] for row in self.rows(f"PRAGMA table_info({table})")]:
                self.change(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else in between. Nests: the outermost commits."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def number(self, query: str, *values: object) -> float:
        """The first column of the first row; 0 where there is none."""
        found = self.rows(query, *values)
        return (found[0][0] or 0) if found else 0

    def change(self, query: str, *values: object) -> int:
        """Runs one statement; returns the id of an inserted row."""
        with self._lock:
            return self._connection.execute(query, values).lastrowid or 0

    def read_setting(self, name: str) -> dict[str, object]:
        found = self.rows("SELECT value FROM settings WHERE name = ?", name)
        return dict(json.loads(found[0]["value"])) if found else {}

    def write_setting(self, name: str, value: dict[str, object]) -> None:
        self.change("INSERT OR REPLACE INTO settings VALUES (?, ?)", name, json.dumps(value))

    def clear(self) -> None:
        """Forgets everything but what the command line said; order numbers begin at 1 again."""
        with self.transaction():
            for table in ("tasks", "refusals", "deliveries", "calls", "faults", "strikes", "trespasses", "sqlite_sequence"):
                self.change(f"DELETE FROM {table}")  # noqa: S608 - names from the line above
            self.write_setting("configured", {})

    def close(self) -> None:
        with self._lock:
            self._connection.close()
