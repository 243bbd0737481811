"""After erasure nothing personal is left anywhere: database, files, Redis and logs are searched for planted canaries.

Songs go all the way from the form over real HTTP, through real workers, to the video. Then they are erased in every way
there is, and each byte that the product keeps is searched.
"""
import json
import sqlite3
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

import kit
from api_kit import as_text, form
from jobs.upkeep import cleanup_old_files
from petsong import database
from petsong.erasure import erase, erase_visitor
from petsong.models import TABLES
from petsong.settings import Settings
from pipeline import World, wait_until
from render_media import photo

pytest_plugins = "pipeline_fixtures"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DAY = 86_400


@dataclass
class Canary:
    """A visitor's song, and what must not be left of it."""

    letter: str
    session_id: str = ""
    marks: dict[str, bytes] = field(default_factory=dict)

    @property
    def words(self) -> dict[str, str]:
        name = self.letter * 3
        return {
            "pet_name": f"Quixopet{name}", "owner_name": f"Zebowner{name}", "pet_name_said": f"kwik-{name}-pet",
            "owner_name_said": f"zeb-{name}-own", "cookie_id": f"cookie_canary{name}",
        }


def order(world: World, letter: str, **changes: Any) -> Canary:
    """By the form; its marks are all that the visitor typed, and bytes from the midst of the stored photo."""
    canary = Canary(letter)
    words = {**canary.words, **changes}
    picture = as_text(photo(world.folder / f"{letter}.jpg").read_bytes())
    (world.folder / f"{letter}.jpg").unlink()
    answer = requests.post(
        f"http://127.0.0.1:{world.port}/api/submissions", json=form(photo=picture, **words),
        headers={"Idempotency-Key": f"key-{letter}"}, timeout=30,
    )
    assert answer.status_code == 200, answer.text
    canary.session_id = answer.json()["session_id"]
    canary.marks = {name: word.lower().encode() for name, word in words.items()}
    with world.tools.storage.open_local(f"uploads/{canary.session_id}.jpg") as path:
        data = path.read_bytes()
    # The same picture for everybody would be found in the others' files.
    canary.marks["photo"] = own_bytes(world, canary.session_id, data).lower()
    return canary


def own_bytes(world: World, session_id: str, data: bytes) -> bytes:
    """Make this photo unlike any other by a comment of its own, as if a camera had left it there."""
    mark = f"camera of {session_id[::-1]}".encode()
    comment = b"\xff\xfe" + (len(mark) + 2).to_bytes(2, "big") + mark
    world.tools.storage.put_bytes(f"uploads/{session_id}.jpg", data[:2] + comment + data[2:])
    return mark


# ---- everything that the product keeps

def places(world: World) -> Iterator[tuple[str, bytes]]:
    """(where, bytes in lower case) of the database by its own word and by its files, of files, of Redis and of logs."""
    for table in TABLES:
        yield f"table {table._meta.table_name}", str(list(table.select().dicts())).lower().encode()
    for path in sorted([*world.folder.rglob("*"), *world.redis_server.folder.rglob("*")]):
        if path.is_file():
            yield str(path), read(path).lower()
    for key in world.redis.scan_iter():
        yield f"redis {key!r}", key.lower() + b" " + b" ".join(texts_of(world.redis, key)).lower()


def read(path: Path) -> bytes:
    """By another process: closing a file of SQLite's in this one would give away this one's locks on it."""
    return subprocess.run(["cat", path], capture_output=True, timeout=30).stdout


def texts_of(client: redis.Redis, key: bytes) -> Iterator[bytes]:
    kind = client.type(key)
    if kind == b"hash":
        for name, value in client.hgetall(key).items():  # type: ignore[union-attr]
            yield from (name, value, inflated(value))
    elif kind == b"zset":
        yield from client.zrange(key, 0, -1)  # type: ignore[misc]
    elif kind == b"list":
        yield from client.lrange(key, 0, -1)  # type: ignore[misc]
    elif kind == b"set":
        yield from client.smembers(key)  # type: ignore[misc]
    else:
        yield client.dump(key) or b""  # type: ignore[misc]


def inflated(value: bytes) -> bytes:
    """RQ packs what a message says."""
    try:
        return zlib.decompress(value)
    except zlib.error:
        return b""


def found(world: World, canary: Canary) -> set[str]:
    """Which mark is where; a SQLite file is named by its ending."""
    return {
        f"{mark} in {Path(where).suffix if where.startswith(str(world.folder)) else where}"
        for where, data in places(world) for mark, word in canary.marks.items() if word in data
    }


# ---- the test

def test_nothing_is_left_of_a_song_that_was_erased(world: World) -> None:
    world.open_site()
    waiting = order(world, "a")
    by_visitor(world, waiting)
    assert found(world, waiting) == set()
    with world.pool() as pool:
        songs = [order(world, letter) for letter in "bcd"]
        pair = [order(world, "e"), order(world, "f", cookie_id=Canary("e").words["cookie_id"])]
        world.wait_for_ends(150)
        wait_until(lambda: not pool.jobs(), 60, "the side jobs")
        for song in (*songs, *pair):
            check_planted(world, song)
        one, another, old = songs
        by_visitor(world, one)
        receipt = erase(world.settings, world.tools.storage, world.tools.queues, another.session_id, who="a test")
        assert receipt is not None and receipt.files >= 5
        cookie_id = pair[0].words["cookie_id"]
        assert len(erase_visitor(world.settings, world.tools.storage, world.tools.queues, cookie_id, who="a test")) == 2
        for song in (one, another, *pair):
            assert found(world, song) == set()
    check_planted(world, old)
    kit.age(31 * DAY)
    cleanup_old_files()
    assert found(world, old) == set()


def check_planted(world: World, song: Canary) -> None:
    """The search finds what is there: the test can fail."""
    row = kit.row(song.session_id)
    assert row.stage == "done", world.story()
    assert song.words["pet_name"] in (row.lyrics or "") and song.words["pet_name"] in json.dumps(row.llm_full_response)
    marks = {place.partition(" in ")[0] for place in found(world, song)}
    assert marks == set(song.marks)
    if not database.is_postgres():
        assert any(place.endswith((".db", ".db-wal")) for place in found(world, song))


def by_visitor(world: World, song: Canary) -> None:
    path = f"http://127.0.0.1:{world.port}/api/submissions/{song.session_id}/delete"
    answer = requests.post(path, json={"cookie_id": song.words["cookie_id"]}, timeout=30)
    assert answer.status_code == 200, answer.text


# ---- SQLite's own files

@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    kit.open_database(f"sqlite:///{tmp_path / 'petsong.db'}")
    yield tmp_path / "petsong.db"
    database.db.close()


def remember_and_forget(settings: Settings) -> None:
    for number in range(50):
        kit.submit(settings, f"song{number}", pet_name="Quixopet " * 9, owner_name_said="kwik")
    kit.empty_tables()


def test_sqlite_overwrites_what_is_deleted(file: Path) -> None:
    remember_and_forget(kit.make_settings(form_submit_retry=100))
    assert b"Quixopet" in read(file.with_name("petsong.db-wal"))
    assert database.empty_log()
    assert b"Quixopet" not in read(file) and read(file.with_name("petsong.db-wal")) == b""


def test_somebody_who_reads_keeps_the_log_until_the_next_time(file: Path) -> None:
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM submissions").fetchall()
    remember_and_forget(kit.make_settings(form_submit_retry=100))
    assert not database.empty_log()
    reader.close()
    assert database.empty_log() and read(file.with_name("petsong.db-wal")) == b""
    assert database.db.execute_sql("PRAGMA busy_timeout").fetchone()[0] == 10_000
