import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from petsong import storage
from petsong.storage import LocalStorage, MissingFile, Storage, StorageError

DATA = bytes(range(256)) * 1024


@pytest.fixture
def store(tmp_path: Path) -> LocalStorage:
    return LocalStorage({name: tmp_path / "stored" / name for name in ("uploads", "audio", "video")})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "scratch.bin"
    path.write_bytes(DATA)
    path.chmod(0o600)
    return path


def read(store: Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(store.stream(key, start, end))


def test_bytes_and_files_are_found_again(store: LocalStorage, source: Path) -> None:
    store.put_bytes("uploads/a1.jpg", b"photo")
    store.put_file("video/a1.mp4", source)
    assert read(store, "uploads/a1.jpg") == b"photo"
    assert read(store, "video/a1.mp4") == DATA
    with store.open_local("video/a1.mp4") as path:
        assert path.read_bytes() == DATA


def test_a_stored_file_is_moved_readable_by_the_web_server_and_dated_now(store: LocalStorage, source: Path) -> None:
    os.utime(source, (1, 1))
    store.put_file("video/a1.mp4", source)
    assert not source.exists()
    facts = store.stat("video/a1.mp4")
    assert facts is not None and facts.size == len(DATA) and abs(facts.modified - time.time()) < 60
    with store.open_local("video/a1.mp4") as path:
        assert path.stat().st_mode & 0o777 == 0o644


def test_a_source_on_another_disk_is_copied(store: LocalStorage, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(storage.os, "rename", other_disk)
    store.put_file("video/a1.mp4", source)
    assert read(store, "video/a1.mp4") == DATA
    assert not source.exists()


def test_putting_again_replaces_and_changes_the_etag(store: LocalStorage) -> None:
    store.put_bytes("video/a1.mp4", b"old")
    before = store.stat("video/a1.mp4")
    time.sleep(0.01)
    store.put_bytes("video/a1.mp4", b"new")
    after = store.stat("video/a1.mp4")
    assert read(store, "video/a1.mp4") == b"new"
    assert before and after and before.etag != after.etag


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, None), (0, 0), (0, 1), (65_535, 65_537), (100, 200_000), (262_143, 262_144), (5, 2), (10**9, None)],
)
def test_a_stream_is_the_slice_from_start_to_end(store: LocalStorage, start: int, end: int | None) -> None:
    store.put_bytes("video/a1.mp4", DATA)
    assert read(store, "video/a1.mp4", start, end) == DATA[start:end]


def test_a_stream_can_be_closed_before_it_began(store: LocalStorage) -> None:
    store.put_bytes("video/a1.mp4", DATA)
    stream = store.stream("video/a1.mp4")
    stream.close()
    assert list(stream) == []


def test_a_running_stream_survives_replacement_and_deletion(store: LocalStorage) -> None:
    store.put_bytes("video/a1.mp4", DATA)
    stream = store.stream("video/a1.mp4")
    first = next(stream)
    store.put_bytes("video/a1.mp4", b"new")
    store.delete("video/a1.mp4")
    assert first + b"".join(stream) == DATA


def test_what_is_missing_says_so_at_once(store: LocalStorage) -> None:
    assert store.stat("audio/none.mp3") is None
    with pytest.raises(MissingFile, match="audio/none.mp3"):
        store.stream("audio/none.mp3")
    with pytest.raises(MissingFile), store.open_local("audio/none.mp3"):
        pass


def test_deleting_twice_is_harmless(store: LocalStorage) -> None:
    store.put_bytes("audio/a1.mp3", b"song")
    assert [store.delete("audio/a1.mp3"), store.delete("audio/a1.mp3")] == [True, False]


BAD_KEYS = [
    *("", "uploads", "uploads/", "/etc/passwd", "uploads/../audio/x", "uploads/..", "uploads/.", "../uploads/x"),
    *("uploads//x", "uploads/a/b", "uploads/a\\b", "uploads/a\0b", "secrets/x", "uploads/.tmp-1", "uploads/x\n"),
    *("uploads/" + "x" * 300, "uploads/é.jpg", "uploads/a b", "UPLOADS/x"),
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_malformed_key_is_refused_by_every_method(store: LocalStorage, source: Path, key: str) -> None:
    for call in (store.stat, store.delete, store.stream, store.url, lambda k: store.open_local(k).__enter__()):
        with pytest.raises(StorageError):
            call(key)
    with pytest.raises(StorageError):
        store.put_bytes(key, b"x")
    with pytest.raises(StorageError):
        store.put_file(key, source)
    assert source.exists()


def test_only_regular_files_are_taken(store: LocalStorage, source: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(source)
    for wrong in (link, tmp_path, tmp_path / "missing"):
        with pytest.raises(StorageError, match="regular file"):
            store.put_file("video/a1.mp4", wrong)


def test_listing_by_prefix_leaves_temporary_files_out(store: LocalStorage, tmp_path: Path) -> None:
    for key in ("uploads/a1.jpg", "uploads/a2.jpg", "video/a1.mp4"):
        store.put_bytes(key, b"x")
    (tmp_path / "stored/uploads/.tmp-left").write_bytes(b"half")
    (tmp_path / "stored/uploads/folder").mkdir()
    assert sorted(key for key, _ in store.list_keys()) == ["uploads/a1.jpg", "uploads/a2.jpg", "video/a1.mp4"]
    assert sorted(key for key, _ in store.list_keys("uploads/")) == ["uploads/a1.jpg", "uploads/a2.jpg"]
    assert [key for key, _ in store.list_keys("uploads/a2")] == ["uploads/a2.jpg"]
    assert all(abs(modified - time.time()) < 60 for _, modified in store.list_keys())
    with pytest.raises(StorageError):
        list(store.list_keys("upload/"))


def test_leftovers_are_found_by_age(store: LocalStorage, tmp_path: Path) -> None:
    store.put_bytes("uploads/a1.jpg", b"x")
    left = tmp_path / "stored/uploads/.tmp-left"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))  # an old source just moved in: being written now, whatever its mtime says
    assert list(store.list_leftovers(3600)) == []
    time.sleep(0.02)
    assert list(store.list_leftovers(0.01)) == [left]


def test_a_failed_write_leaves_neither_file_nor_leftover(
    store: LocalStorage, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    store.put_bytes("video/a1.mp4", b"old")
    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        store.put_bytes("video/a1.mp4", b"new")
    assert read(store, "video/a1.mp4") == b"old"
    assert list(store.list_leftovers(-1)) == []


def test_the_data_is_on_disk_before_the_name_and_the_name_before_the_return(
    store: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(storage.os, "fsync", lambda fd: (calls.append("fsync"), real_sync(fd))[1])
    monkeypatch.setattr(storage.os, "replace", lambda a, b: (calls.append("rename"), real_replace(a, b))[1])
    store.put_bytes("video/a1.mp4", b"x")
    assert calls == ["fsync", "rename", "fsync"]


DIE_AT_LINE = """
import os, sys
from pathlib import Path
from petsong import storage
die_at, root, kind = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
store = storage.LocalStorage({"video": root / "video"})
lines = 0
def trace(frame, event, argument):
    global lines
    if frame.f_code.co_filename != storage.__file__:
        return None
    if event == "line":
        lines += 1
        if lines == die_at:
            os._exit(9)
    return trace
sys.settrace(trace)
if kind == "file":
    store.put_file("video/a1.mp4", root / "source")
else:
    store.put_bytes("video/a1.mp4", b"new" * 100000)
sys.settrace(None)
"""


@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_killed_at_any_line_the_key_holds_the_old_file_or_the_new_one(tmp_path: Path, kind: str) -> None:
    old, new = b"old", b"new" * 100_000
    store = LocalStorage({"video": tmp_path / "video"})
    seen = set()
    for die_at in range(1, 100):
        store.put_bytes("video/a1.mp4", old)
        (tmp_path / "source").write_bytes(new)
        command = [sys.executable, "-c", DIE_AT_LINE, str(die_at), str(tmp_path), kind]
        ended = subprocess.run(command, cwd=Path(storage.__file__).parent.parent, timeout=30)
        seen.add(read(store, "video/a1.mp4"))
        assert [key for key, _ in store.list_keys()] == ["video/a1.mp4"]
        if ended.returncode == 0:
            break
    assert ended.returncode == 0 and die_at > 15
    assert seen == {old, new}
