"""Files that appear whole or not at all, and the leftovers of processes that were killed."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from render.spec import RenderError

PART_PREFIX = ".render-"
ROOM_PREFIX = "petsong-render-"
STALE_SECONDS = 3600


@contextmanager
def new_file(out: Path) -> Iterator[Path]:
    """A temporary name in `out`'s folder; on leaving it is synced and renamed to `out`, or removed if anything failed.

    Raises RenderError output_unwritable when the folder or the disk does not allow it.
    """
    folder = Path(os.path.abspath(out)).parent
    part = None
    try:
        sweep(folder, PART_PREFIX)
        handle, name = tempfile.mkstemp(prefix=PART_PREFIX, suffix=out.suffix[-8:], dir=folder)
        os.fchmod(handle, 0o644)
        os.close(handle)
        part = Path(name)
        yield part
        _sync(part)
        os.replace(part, out)
        _sync(folder)
    except OSError as error:
        message = f"{out.name!r} cannot be written: {error.strerror}"
        raise RenderError("output_unwritable", message, repr(error)) from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


@contextmanager
def work_room() -> Iterator[Path]:
    """A private folder for intermediate files; also removes such folders left by killed processes an hour ago."""
    sweep(Path(tempfile.gettempdir()), ROOM_PREFIX)
    try:
        room = Path(tempfile.mkdtemp(prefix=ROOM_PREFIX))
    except OSError as error:
        raise RenderError("output_unwritable", f"no temporary folder: {error.strerror}", repr(error)) from None
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def publish_bytes(data: bytes, out: Path) -> None:
    """Write a small file whole. Raises RenderError output_unwritable."""
    with new_file(out) as part:
        part.write_bytes(data)


def sweep(folder: Path, prefix: str) -> None:
    """Remove entries of ours in `folder` that nobody has touched for an hour; renders take minutes."""
    limit = time.time() - STALE_SECONDS
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and entry.stat(follow_symlinks=False).st_mtime < limit:
                _remove(entry)


def _remove(entry: "os.DirEntry[str]") -> None:
    with suppress(OSError):  # someone else was quicker, or it is another user's
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
