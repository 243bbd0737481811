"""Where files live: photos, songs and videos by key, behind one small interface that a bucket can implement as well.

A key is `<folder>/<name>`: `uploads/<session_id>.jpg`, `audio/<session_id>.mp3`, `video/<session_id>.mp4`. A key that
exists always holds a whole file: everything is written under a temporary name first, and the rename is the commit.
"""

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

TEMPORARY_PREFIX = ".tmp-"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", re.ASCII)
_CHUNK = 64 * 1024


class StorageError(Exception):
    """A key that is not one, or a source that is no file. Full disks and the like stay OSError."""


class MissingFile(StorageError):
    """Nothing is stored under this key."""


@dataclass(frozen=True)
class FileFacts:
    size: int  # bytes
    etag: str  # changes with every write; without quotes
    modified: float  # seconds since 1970, UTC


class Storage(Protocol):
    """What petsong needs of a place for files. Every method raises StorageError for a malformed key."""

    def put_file(self, key: str, source: Path) -> None:
        """Move the file at `source` to `key`, replacing what is there; `source` is gone afterwards."""

    def put_bytes(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, replacing what is there."""

    def open_local(self, key: str) -> AbstractContextManager[Path]:
        """A path to read from while the context lasts (a bucket downloads to a temporary file). MissingFile."""

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Bytes `start` up to, not including, `end` (None: to the last one). MissingFile at the call, not later."""

    def stat(self, key: str) -> FileFacts | None:
        """Size, etag and time of a key, None where there is nothing."""

    def delete(self, key: str) -> bool:
        """Remove a key; False where there was nothing, so a repeat is harmless."""

    def list_keys(self, prefix: str = "") -> Iterator[tuple[str, float]]:
        """(key, time of writing in seconds since 1970) of all keys that begin with `prefix`, in no order."""

    def url(self, key: str) -> str | None:
        """An address from which a browser may fetch the key directly, None where there is no such thing."""

    def list_leftovers(self, older_than_seconds: float) -> Iterator[Path]:
        """Temporary files that a killed process left: safe to unlink once they are older than any write takes."""


class FileStream(Iterator[bytes]):
    """A slice of an open file in chunks. `close()` may come at any time, also before the first chunk (a HEAD)."""

    def __init__(self, file: BinaryIO, start: int, end: int | None) -> None:
        self._file = file
        self._left = None if end is None else max(0, end - start)
        file.seek(start)

    def __next__(self) -> bytes:
        wanted = _CHUNK if self._left is None else min(_CHUNK, self._left)
        chunk = b"" if self._file.closed else self._file.read(wanted)
        if not chunk:
            self.close()
            raise StopIteration
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        self._file.close()

    def __del__(self) -> None:
        self.close()


class LocalStorage:
    """Local folders: LocalStorage({"uploads": Path(…), "audio": Path(…), "video": Path(…)})."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = dict(folders)

    def put_file(self, key: str, source: Path) -> None:
        # A symlink would be moved as such, and the key would then point to a place outside.
        if source.is_symlink() or not source.is_file():
            raise StorageError(f"cannot store {source.name!r} as {key!r}: it is not a regular file")
        self._put(key, lambda temporary: _move(source, temporary))
        source.unlink(missing_ok=True)  # still there when it had to be copied

    def put_bytes(self, key: str, data: bytes) -> None:
        def write(temporary: Path) -> None:
            temporary.write_bytes(data)

        self._put(key, write)

    @contextmanager
    def open_local(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        if not path.is_file():
            raise MissingFile(f"nothing is stored as {key!r}")
        yield path

    def stream(self, key: str, start: int = 0, end: int | None = None) -> FileStream:
        if start < 0 or (end is not None and end < 0):
            raise StorageError(f"no such range of {key!r}: {start} to {end}")
        try:
            return FileStream(self._path(key).open("rb"), start, end)
        except FileNotFoundError as error:
            raise MissingFile(f"nothing is stored as {key!r}") from error

    def stat(self, key: str) -> FileFacts | None:
        try:
            found = self._path(key).stat()
        except FileNotFoundError:
            return None
        return FileFacts(found.st_size, f"{found.st_mtime_ns:x}-{found.st_size:x}", found.st_mtime)

    def delete(self, key: str) -> bool:
        path = self._path(key)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        _sync_folder(path.parent)
        return True

    def list_keys(self, prefix: str = "") -> Iterator[tuple[str, float]]:
        if "/" in prefix and prefix.partition("/")[0] not in self._folders:
            raise StorageError(f"unknown folder in {prefix!r}: one of {', '.join(sorted(self._folders))}")
        for name, folder in self._folders.items():
            for entry, found in _files(folder):
                key = f"{name}/{entry.name}"
                if _NAME.fullmatch(entry.name) and key.startswith(prefix):
                    yield key, found.st_mtime

    def url(self, key: str) -> str | None:
        self._path(key)
        return None

    def list_leftovers(self, older_than_seconds: float) -> Iterator[Path]:
        # ctime: a file that was moved in keeps an old mtime until it is touched.
        limit = time.time() - older_than_seconds
        for folder in self._folders.values():
            for entry, found in _files(folder):
                if entry.name.startswith(TEMPORARY_PREFIX) and found.st_ctime < limit:
                    yield Path(entry.path)

    def _path(self, key: str) -> Path:
        folder, _, name = key.partition("/")
        if folder not in self._folders:
            raise StorageError(f"unknown folder in key {key!r}: one of {', '.join(sorted(self._folders))}")
        if not _NAME.fullmatch(name):
            raise StorageError(f"bad name in key {key!r}: letters, digits, '.', '_' and '-', such as {folder}/abc1.mp4")
        return self._folders[folder] / name

    def _put(self, key: str, fill: Callable[[Path], None]) -> None:
        """Killed at any line this leaves the old file or the new one under the key, and at worst a temporary file.

        1. fill a temporary name in the target's own folder, 2. flush it to the disk, 3. rename it, 4. flush the folder.
        """
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
        try:
            fill(temporary)
            _sync_file(temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)


def _move(source: Path, temporary: Path) -> None:
    try:
        os.rename(source, temporary)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(source, temporary)


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.utime(file.fileno())  # the time of storing, which clean-up goes by, not the time the source was made
        os.fchmod(file.fileno(), 0o644)  # scratch files are 0600, and the web server in front must read them
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files(folder: Path) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """Regular files of a folder; one that vanishes meanwhile is left out, a folder not made yet is empty."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=False):
                    yield entry, entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
