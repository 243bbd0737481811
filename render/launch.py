"""Run as a script by ffmpeg.py between fork and ffmpeg: sets limits on itself, then becomes the command.

    python -I -S launch.py PARENT_PID MEMORY_BYTES CPU_SECONDS FILE_BYTES NICENESS COMMAND [ARGUMENT...]

A preexec_fn could do the same, but runs Python between fork and exec in a process that may have threads, which can
deadlock and which Python 3.12 warns about. Memory or file size 0 means no limit of ours.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with(parent: int) -> None:
    """Ask the kernel (Linux) to kill this process when `parent` dies, and end now if it already has."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def lower(which: int, limit: int) -> None:
    """Set a soft and hard limit, never above a hard limit that is already there."""
    hard = resource.getrlimit(which)[1]
    if limit:
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(which, (limit, limit))


def main(arguments: list[str]) -> None:
    parent, memory, cpu, file_bytes, niceness = (int(text) for text in arguments[:5])
    die_with(parent)
    lower(resource.RLIMIT_AS, memory)
    lower(resource.RLIMIT_CPU, cpu)
    lower(resource.RLIMIT_FSIZE, file_bytes)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(niceness)
    try:
        os.execv(arguments[5], arguments[5:])  # noqa: S606 - no shell, absolute path
    except OSError as error:
        raise SystemExit(f"cannot run {arguments[5]}: {error.strerror}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
