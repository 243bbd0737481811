"""Starting processes so that none of them outlives us, and ending whole families of them.

A child gets a session of its own. RQ's work horses leave the process group of their parent, and a killed parent leaves
its children to init, but the session stays the same through both: it is the one handle on a whole family.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO


@cache
def _setpriv() -> str | None:
    return shutil.which("setpriv")


def dies_with_parent(argv: Sequence[str], signal_name: str = "TERM") -> list[str]:
    """argv wrapped so that the kernel sends the signal to the process when the thread that started it dies, however
    it dies. setpriv belongs to util-linux, which every Debian has; without it argv comes back unchanged."""
    wrapper = _setpriv()
    return [wrapper, "--pdeathsig", signal_name, "--", *argv] if wrapper else list(argv)


def spawn(
    argv: Sequence[str],
    log: IO[bytes],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    death_signal: str = "TERM",
) -> subprocess.Popen[bytes]:
    """Start argv in a session of its own, with no input and all output into log; `user` (root only) runs it as somebody
    else. Raises OSError when the program is not there."""
    if shutil.which(argv[0]) is None:  # setpriv would only exit with 127
        raise FileNotFoundError(f"{argv[0]}: no such program")
    return subprocess.Popen(
        dies_with_parent(argv, death_signal),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=env,
        cwd=cwd,
        start_new_session=True,
        user=user,
        group=user and _group_of(user),
        extra_groups=[] if user else None,
    )


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def session_pids(*sids: int) -> list[int]:
    """Pids of the living (not zombie) processes of these sessions."""
    names = [entry.name for entry in os.scandir("/proc") if entry.name.isdigit()]
    return [int(name) for name in names if _living_session(name) in sids]


def _living_session(pid: str) -> int | None:
    try:
        stat = Path("/proc", pid, "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None  # ended while we looked
    state, _ppid, _pgrp, session = stat.rpartition(")")[2].split()[:4]  # the name before it may hold spaces
    return None if state in "ZX" else int(session)


def end(process: subprocess.Popen[bytes], grace: float = 5.0, first: signal.Signals = signal.SIGTERM) -> None:
    """End a spawned process and all its family: `first` to the process itself, up to `grace` seconds for the family to
    go, then SIGKILL to what is left. Returns when none is left."""
    end_all([process], grace, first)


def end_all(
    processes: Sequence[subprocess.Popen[bytes]], grace: float = 5.0, first: signal.Signals = signal.SIGTERM
) -> None:
    """`end` for several at once, sharing one grace."""
    for process in processes:
        process.send_signal(first)  # does nothing once it was reaped
    deadline = time.monotonic() + grace
    sids = [process.pid for process in processes]
    while _any_left(processes, sids):
        if time.monotonic() > deadline:
            kill_sessions(*sids)
        time.sleep(0.02)


def _any_left(processes: Sequence[subprocess.Popen[bytes]], sids: list[int]) -> bool:
    running = [process.poll() is None for process in processes]  # poll every one: it reaps
    return any(running) or bool(session_pids(*sids))


def kill_sessions(*sids: int) -> None:
    """SIGKILL every process of these sessions."""
    for pid in session_pids(*sids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
