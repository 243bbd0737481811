"""Run as a script by ffmpeg.py between fork and ffmpeg: sets limits on itself, then becomes the command.

    python -I -S launch.py GATE PARENT_PID MEMORY_BYTES CPU_SECONDS FILE_BYTES OPEN_FILES NICENESS COMMAND [ARGUMENT...]

A preexec_fn could do the same, but runs Python between fork and exec in a process that may have threads, which can
deadlock and which Python 3.12 warns about. A limit of 0 is none of ours. The command begins when a byte arrives at the
file descriptor GATE, and never when that is closed before. Where the kernel does not let the network go, one line
"launch_network=REASON" stands before the command's own output, in the form of ffmpeg's progress.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h


def leave_network() -> str:
    """Move to a network of our own that has no interface up; returns why that was not possible, or "".

    Root does so directly. Others need a user namespace of their own for it; files stay readable and writable as
    before, for the kernel judges by the user outside. Root must not: it would lose its right to others' files.
    """
    if sys.platform != "linux":
        return "not Linux"
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWUSER | CLONE_NEWNET
    failed = ctypes.CDLL(None, use_errno=True).unshare(flags)
    return os.strerror(ctypes.get_errno()) if failed else ""


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
    gate, parent, memory, cpu, file_bytes, open_files, niceness = (int(text) for text in arguments[:7])
    command = arguments[7:]
    if reason := leave_network():
        os.write(1, f"launch_network={reason}\n".encode())
    die_with(parent)  # after the namespaces: new credentials may clear the signal
    lower(resource.RLIMIT_AS, memory)
    lower(resource.RLIMIT_CPU, cpu)
    lower(resource.RLIMIT_FSIZE, file_bytes)
    lower(resource.RLIMIT_NOFILE, open_files)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(niceness)
    if not os.read(gate, 1):
        raise SystemExit("nobody waits for it")
    os.close(gate)
    try:
        os.execv(command[0], command)  # noqa: S606 - no shell, absolute path
    except OSError as error:
        raise SystemExit(f"cannot run {command[0]}: {error.strerror}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
