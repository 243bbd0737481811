"""Ends what a killed supervisor leaves: `python -m scripts.guard` reads session ids, "+123" begun, "-123" ended.

The end of the input means that the supervisor is gone, however it went. The kernel has told its children by then
(SIGTERM, see processes.py); who is still there after a moment is killed, with all that it started.
"""

import signal
import sys
import time
from collections.abc import Iterable

from scripts.processes import kill_sessions, session_pids

GRACE_SECONDS = 3.0


def sessions(lines: Iterable[str]) -> set[int]:
    """The sessions that were begun and not ended."""
    known: set[int] = set()
    for line in lines:
        (known.add if line[0] == "+" else known.discard)(int(line[1:]))
    return known


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # we go last
    left = sessions(sys.stdin)
    deadline = time.monotonic() + GRACE_SECONDS
    while session_pids(*left):
        if time.monotonic() > deadline:
            kill_sessions(*left)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
