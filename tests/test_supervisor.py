"""The supervisor, with real processes: it restarts the dead, says so, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts import supervisor as module
from scripts.processes import end, session_pids, spawn
from scripts.supervisor import Child, StartError, Supervisor

ROOT = Path(__file__).resolve().parent.parent
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import os, time; os.setpgrp(); time.sleep(60)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(60)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path / "logs", tmp_path, said.append, grace=2)
    yield made
    made.stop()


def python(name: str, program: str, *args: str, ready: Callable[[], bool] | None = None) -> Child:
    return Child(name, (sys.executable, "-c", program, *args), dict(os.environ), ready)


def until(check: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_start_waits_until_a_child_is_ready(supervisor: Supervisor, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    program = "import sys, time; time.sleep(0.3); open(sys.argv[1], 'w'); time.sleep(60)"
    supervisor.start(python("slow", program, str(flag), ready=flag.exists))
    assert flag.exists()
    assert list(supervisor.pids()) == ["slow"]


def test_a_child_that_ends_at_start_is_an_error_with_its_last_lines(supervisor: Supervisor) -> None:
    with pytest.raises(StartError, match="(?s)broken ended with exit code 3.*no such database"):
        supervisor.start(python("broken", "print('no such database'); raise SystemExit(3)", ready=lambda: False))


def test_a_child_that_is_never_ready_is_an_error(supervisor: Supervisor) -> None:
    with pytest.raises(StartError, match="idle is not ready after 0.3 s"):
        supervisor.start(python("idle", "import time; time.sleep(60)", ready=lambda: False), seconds=0.3)


def test_a_program_that_does_not_exist_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(FileNotFoundError, match="/no/such/thing"):
        supervisor.start(Child("x", ("/no/such/thing",), {}))


def test_the_dead_is_restarted_and_that_is_said(supervisor: Supervisor, said: list[str]) -> None:
    log = supervisor.log("worker")
    program = "import time; print('up', flush=True); time.sleep(60)"
    supervisor.start(python("worker", program, ready=lambda: log.exists() and log.read_text() == "up\n"))
    supervisor.watch()
    first = supervisor.pids()["worker"]
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.pids().get("worker", first) != first)
    assert said == [f"worker was ended by SIGKILL; restarting it in 0.5 s (log: {log})"]
    until(lambda: log.read_text() == "up\nup\n")


def test_quick_deaths_are_restarted_ever_more_slowly(
    supervisor: Supervisor, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.1)
    monkeypatch.setattr(module, "LONGEST_DELAY_SECONDS", 0.3)
    supervisor.start(python("short", "import time; time.sleep(0.1)"))
    supervisor.watch()
    until(lambda: len(said) >= 4)
    delays = [line.partition("restarting it in ")[2].split(" s")[0] for line in said[:4]]
    assert delays == ["0.1", "0.2", "0.3", "0.3"]


def test_a_program_that_vanished_is_tried_again(
    supervisor: Supervisor, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_DELAY_SECONDS", 0.1)
    program = tmp_path / "program"
    program.symlink_to("/bin/sleep")
    supervisor.start(Child("p", (str(program), "60"), dict(os.environ)))
    supervisor.watch()
    program.unlink()
    os.kill(supervisor.pids()["p"], signal.SIGKILL)
    until(lambda: any("p cannot be restarted" in line for line in said))
    program.symlink_to("/bin/sleep")
    until(lambda: "p" in supervisor.pids())


def test_a_death_after_a_long_life_is_restarted_at_once(
    supervisor: Supervisor, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUICK_DEATH_SECONDS", 0.0)
    supervisor.start(python("old", "import time; time.sleep(60)"))
    supervisor.watch()
    os.kill(supervisor.pids()["old"], signal.SIGTERM)
    until(lambda: said)
    assert "restarting it now" in said[0]


def test_a_restart_first_ends_what_the_dead_left_behind(supervisor: Supervisor, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    supervisor.start(python("family", FAMILY, str(note), ready=lambda: note.exists() and bool(note.read_text())))
    supervisor.watch()
    orphan = int(note.read_text())
    os.kill(supervisor.pids()["family"], signal.SIGKILL)
    until(lambda: not alive(orphan))


def test_stop_takes_grandchildren_in_groups_of_their_own_along(supervisor: Supervisor, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    supervisor.start(python("family", FAMILY, str(note), ready=lambda: note.exists() and bool(note.read_text())))
    supervisor.watch()
    grandchild = int(note.read_text())
    assert alive(grandchild)
    supervisor.stop()
    assert not alive(grandchild)
    assert supervisor.pids() == {}


def test_the_end_of_a_process_is_the_end_of_its_family(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with (tmp_path / "log").open("wb") as log:
        process = spawn((sys.executable, "-c", FAMILY, str(note)), log)
    until(lambda: note.exists() and note.read_text())
    end(process, grace=0.1)
    assert not alive(int(note.read_text()))


def test_stop_kills_who_does_not_listen(supervisor: Supervisor) -> None:
    log = supervisor.log("deaf")
    supervisor.start(python("deaf", DEAF, ready=lambda: log.exists() and "deaf" in log.read_text()))
    sid = supervisor.pids()["deaf"]
    supervisor.stop()
    assert session_pids(sid) == []


def test_stop_ends_later_steps_first(supervisor: Supervisor, tmp_path: Path) -> None:
    order = tmp_path / "order"
    program = (
        "import signal, sys, time\n"
        "def bye(*_): open(sys.argv[2], 'a').write(sys.argv[1] + ' '); raise SystemExit\n"
        "signal.signal(signal.SIGTERM, bye); print('up', flush=True); time.sleep(60)"
    )
    for name in ("first", "second"):
        log = supervisor.log(name)
        up = lambda log=log: log.exists() and "up" in log.read_text()  # noqa: E731
        supervisor.start(python(name, program, name, str(order), ready=up))
    supervisor.stop()
    assert order.read_text() == "second first "


def test_a_second_stop_does_nothing(supervisor: Supervisor) -> None:
    supervisor.start(python("one", "import time; time.sleep(60)"))
    supervisor.watch()
    supervisor.stop()
    supervisor.stop()
    assert supervisor.pids() == {}


def test_a_killed_supervisor_takes_the_deaf_and_the_orphans_along(tmp_path: Path) -> None:
    program = (
        "import os, sys, time\nfrom pathlib import Path\nfrom scripts.supervisor import Child, Supervisor\n"
        "folder = Path(sys.argv[1]); s = Supervisor(folder / 'logs', folder)\n"
        "python = lambda name, *argv: Child(name, (sys.executable, '-c', *argv), dict(os.environ))\n"
        "s.start(python('family', sys.argv[2], str(folder / 'pid')), python('deaf', sys.argv[3]))\n"
        "s.watch(); print(*s.pids().values(), flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", program, str(tmp_path), FAMILY, DEAF]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        sids = [int(pid) for pid in process.stdout.readline().split()]
        note, log = tmp_path / "pid", tmp_path / "logs" / "deaf.log"
        until(lambda: note.exists() and note.read_text() and log.read_text())
        assert len(session_pids(*sids)) == 3
        process.kill()
    until(lambda: session_pids(*sids) == [])
