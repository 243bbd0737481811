"""Looking at processes through /proc: families, names that cannot be mistaken after a pid was used again, leftovers."""
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process and when it began: a pid alone may mean another one by now."""

    pid: int
    began: str

    def lives(self) -> bool:
        return find(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Whether it was there to get the signal."""
        if not self.lives():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False


def _stat(pid: int) -> list[str]:
    """State, parent, …: the fields behind the name, which may hold spaces; nothing where there is no such process."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def find(pid: int) -> Process | None:
    """None where it is gone, or dead and only not yet buried."""
    fields = _stat(pid)
    return Process(pid, fields[19]) if fields and fields[0] not in "ZX" else None


def children(pid: int) -> list[Process]:
    pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    found = [find(one) for one in pids if _stat(one)[1:2] == [str(pid)]]
    return [one for one in found if one is not None]


def family(pid: int) -> list[Process]:
    """The process and all below it, parents first."""
    me = find(pid)
    return ([me] if me else []) + [one for child in children(pid) for one in family(child.pid)]


def with_mark(mark: str) -> list[Process]:
    """All living processes whose environment holds `mark`, whoever their parents are by now."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark.encode() in Path(entry.path, "environ").read_bytes():
                one = find(int(entry.name))
                found += [one] if one else []
    return found


def name_of(process: Process) -> str:
    """Its command line, shortened."""
    with contextlib.suppress(OSError):
        words = Path("/proc", str(process.pid), "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return f"{process.pid} {words[:120]}"
    return str(process.pid)
