"""DATABASE_URL → one peewee database for all models: SQLite (WAL) or PostgreSQL, behaving alike.

Times are UTC, aware in Python, and compare the same on both. `now()` is the database's clock: leases and deadlines are
measured by it alone, so that machines whose clocks disagree agree on who owns what.
"""
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from peewee import (
    Database,
    DatabaseProxy,
    Field,
    InterfaceError,
    OperationalError,
    PostgresqlDatabase,
    SqliteDatabase,
)
from playhouse.pool import PooledPostgresqlDatabase

log = logging.getLogger(__name__)
db = DatabaseProxy()

CONNECTION_ERRORS = (OperationalError, InterfaceError)


class DatabaseLost(Exception):
    """The database does not answer, also after one new connection."""


class UTCField(Field):
    """An instant. Stored as timestamptz, or in SQLite as text of fixed width, which sorts as time does."""

    field_type = "UTC"

    def db_value(self, value: datetime | None) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")

    def python_value(self, value: Any) -> datetime | None:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        return None if value is None else value.astimezone(UTC)


class Sqlite(SqliteDatabase):
    field_types = {**SqliteDatabase.field_types, "UTC": "TEXT"}


class Postgres(PostgresqlDatabase):
    field_types = {**PostgresqlDatabase.field_types, "UTC": "TIMESTAMPTZ"}


class PooledPostgres(PooledPostgresqlDatabase):
    field_types = {**PooledPostgresqlDatabase.field_types, "UTC": "TIMESTAMPTZ"}


def connect_to(url: str, *, pooled: bool = False) -> Database:
    """Point all models at `url`; opens no connection. Pooled for threads of a web process, never where processes fork."""
    made = _sqlite(url) if url.startswith("sqlite:") else _postgres(url, pooled)
    db.initialize(made)
    return made


def _sqlite(url: str) -> Database:
    path = url.removeprefix("sqlite:///")
    Path(path).expanduser().parent.mkdir(parents=True, exist_ok=True)
    # IMMEDIATE: a deferred BEGIN that later wants to write fails under concurrency instead of waiting.
    # secure_delete: what is deleted is overwritten with zeros, so that it is not in the file any more.
    pragmas = {"journal_mode": "wal", "synchronous": "full", "foreign_keys": 1, "secure_delete": 1}
    return Sqlite(str(Path(path).expanduser()), pragmas=pragmas, timeout=10, lock_type="IMMEDIATE", autoconnect=False)


def _postgres(url: str, pooled: bool) -> Database:
    parts = urlsplit(url)
    options: dict[str, Any] = {
        "host": parts.hostname, "port": parts.port, "user": parts.username and unquote(parts.username),
        "password": parts.password and unquote(parts.password),
        "connect_timeout": 3, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
        "options": "-c timezone=UTC -c statement_timeout=20s -c lock_timeout=15s -c idle_in_transaction_session_timeout=60s",
    }
    for pair in filter(None, parts.query.split("&")):
        key, _, value = pair.partition("=")
        options[key] = unquote(value)  # such as sslmode=require or host=/run/postgresql
    options = {key: value for key, value in options.items() if value is not None}
    name = unquote(parts.path.lstrip("/"))
    if pooled:
        return PooledPostgres(name, max_connections=32, stale_timeout=300, timeout=5, autoconnect=False, **options)
    return Postgres(name, autoconnect=False, **options)


@contextmanager
def connection() -> Iterator[None]:
    """A connection for the block, from a fresh try where the first fails. Raises DatabaseLost. Nested blocks share it."""
    if not db.is_closed():
        yield
        return
    open_connection()
    try:
        yield
    finally:
        if not db.is_closed():
            db.close()


def open_connection() -> None:
    """One reconnect, because a restarted server leaves dead connections in a pool. Raises DatabaseLost."""
    try:
        _connect_checked()
    except CONNECTION_ERRORS:
        time.sleep(0.2)
        try:
            _connect_checked()
        except CONNECTION_ERRORS as error:
            log.critical("database lost", extra={"error": type(error).__name__})
            raise DatabaseLost("The database does not answer; check DATABASE_URL and the server.") from error


def _connect_checked() -> None:
    db.connect(reuse_if_open=True)
    if not isinstance(db.obj, PooledPostgres):
        return
    try:
        db.execute_sql("SELECT 1")  # a pooled connection may be a dead server's
    except CONNECTION_ERRORS:
        db.obj.manual_close()
        db.obj.close_idle()  # its neighbours are of the same age
        raise


def now() -> datetime:
    """The database's clock. SQLite's is this machine's."""
    if is_postgres():
        moment: datetime = db.execute_sql("SELECT clock_timestamp()").fetchone()[0]
        return moment.astimezone(UTC)
    return datetime.now(UTC)


def empty_log() -> bool:
    """After personal data were deleted, outside of a transaction: SQLite's log still has the pages of before.

    False where somebody reads or writes for longer than a second: the log is overwritten in time, or by the next call.
    """
    if is_postgres():  # its own vacuum does that
        return True
    db.execute_sql("PRAGMA busy_timeout = 1000")
    try:
        busy: int = db.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        db.execute_sql("PRAGMA busy_timeout = 10000")
    return not busy


def is_postgres() -> bool:
    return isinstance(db.obj, PostgresqlDatabase)


@contextmanager
def lock(name: str) -> Iterator[None]:
    """A transaction that excludes every other transaction locking the same name, on any machine."""
    with db.atomic():
        if is_postgres():  # SQLite's BEGIN IMMEDIATE has excluded every writer already
            db.execute_sql("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"petsong:{name}",))
        yield
