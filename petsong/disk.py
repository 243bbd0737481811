"""How full the file system below the videos is."""
import logging
import shutil
from pathlib import Path

FULL_PERCENT = 80


def used_percent(folder: Path) -> float | None:
    """Of the file system that the folder is on; None where it can't be told, as before the folder is made."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return round(100 * usage.used / usage.total, 1)


def warn_when_full(folder: Path, log: logging.Logger) -> None:
    percent = used_percent(folder)
    if percent is not None and percent > FULL_PERCENT:
        log.warning("disk over %d %% full", FULL_PERCENT, extra={"used_percent": percent})
