import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from render import video
from render.ffmpeg import Limits, find_ffmpeg, run_ffmpeg
from render.spec import RenderError
from render.video import render_video
from render_media import EMBEDDED, FFMPEG, photo, small_spec, song

ENDLESS = [FFMPEG, "-v", "error", "-re", "-f", "lavfi", "-i", "anullsrc", "-f", "null", "-"]


_servers: set[int] = set()


@pytest.fixture(autouse=True)
def other_children() -> None:
    """Servers that other tests of the same run have started and keep."""
    _servers.clear()
    _servers.update(_descendants(os.getpid()))


def children(of: int) -> list[int]:
    """Process ids of all living descendants that this test has started."""
    return [pid for pid in _descendants(of) if pid not in _servers]


def _descendants(of: int) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == of and fields[0] != "Z":
            found += [int(name), *_descendants(int(name))]
    return found


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not (result := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return result


def test_ffmpeg_knows_nothing_of_our_settings(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "canary")
    said = run_ffmpeg(["/bin/sh", "-c", "env >&2"], timeout=5).log
    assert "PATH=" in said and "canary" not in said


def test_a_frozen_or_endless_ffmpeg_is_ended_at_the_time_limit():
    with pytest.raises(RenderError) as caught:
        run_ffmpeg(ENDLESS, timeout=0.6)
    assert caught.value.code == "render_timeout"
    assert "anullsrc" in caught.value.detail
    assert children(os.getpid()) == []


def test_an_input_that_nobody_reads_does_not_outlast_the_time_limit():
    with pytest.raises(RenderError) as caught:
        run_ffmpeg(["/bin/sleep", "30"], timeout=0.5, feed=iter([b"x" * 1_000_000] * 9))
    assert caught.value.code == "render_timeout"


def test_stop_from_another_thread_ends_the_run():
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(RenderError) as caught:
        run_ffmpeg(ENDLESS, timeout=20, stop=stop)
    assert caught.value.code == "render_stopped"
    assert children(os.getpid()) == []


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_ffmpeg_is_one_error_and_leaves_nothing(tmp_path, victim):
    """victim 0 is the first ffmpeg (the check), 1 the second one (the turn), both at work side by side."""
    out, pet, slow = tmp_path / "video" / "out.mp4", photo(tmp_path / "pet.png"), song(seconds=300.0)
    out.parent.mkdir()

    def kill():
        found = wait_for(lambda: len(children(os.getpid())) > victim and sorted(children(os.getpid())))
        os.kill(found[victim], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(RenderError) as caught:
        render_video(pet, slow, out, small_spec(size=720, fps=30), ffmpeg=FFMPEG, cache=tmp_path / "cache")
    killer.join()
    assert (caught.value.code, str(caught.value)) == ("ffmpeg_failed", "ffmpeg was killed by SIGKILL")
    assert not caught.value.permanent
    assert os.listdir(out.parent) == []
    assert children(os.getpid()) == []


def test_an_exception_from_outside_ends_every_process(tmp_path, monkeypatch):
    later = []
    monkeypatch.setattr(video, "run_ffmpeg", lambda argv, **options: later.append(argv))

    class Alarm(Exception):
        pass

    def ring(number, frame):
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.4)
    try:
        with pytest.raises(Alarm):
            render_video(photo(tmp_path / "p.png"), song(seconds=300.0), tmp_path / "o.mp4",
                         small_spec(size=1080, fps=60), ffmpeg=FFMPEG)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert children(os.getpid()) == []
    assert os.listdir(tmp_path) == ["p.png"]
    assert later == []  # the sound's check was ended, not waited for


def test_children_die_with_their_parent():
    program = f"from render.ffmpeg import run_ffmpeg; run_ffmpeg({ENDLESS!r}, timeout=60)"
    parent = subprocess.Popen([sys.executable, "-c", program])
    found = wait_for(lambda: children(parent.pid))
    assert os.getpgid(found[0]) == os.getpgid(parent.pid)
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    assert wait_for(lambda: not os.path.exists(f"/proc/{found[0]}") or is_dead(found[0]))


def is_dead(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(("limits", "sign"), [
    (Limits(memory=60 * 1024**2), "ffmpeg"), (Limits(cpu_seconds=1), "SIG"), (Limits(file_bytes=10_000), "ffmpeg"),
])
def test_memory_time_and_size_are_limited(tmp_path, limits, sign):
    argv = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=60:d=60", "-c:v", "libx264",
            "-f", "mp4", str(tmp_path / "o.mp4")]
    with pytest.raises(RenderError, match=sign) as caught:
        run_ffmpeg(argv, timeout=30, limits=limits)
    assert caught.value.code == "ffmpeg_failed"


def test_an_error_says_what_ffmpeg_said_in_one_line_and_more_in_the_detail():
    with pytest.raises(RenderError) as caught:
        run_ffmpeg([FFMPEG, "-v", "error", "-i", "file:/no/such/file", "-f", "null", "-"], timeout=10)
    assert "No such file" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "code: 1" in caught.value.detail or "code: 2" in caught.value.detail
    assert len(caught.value.detail.encode()) <= 64 * 1024


def test_a_missing_program_is_an_error_too():
    with pytest.raises(RenderError, match="cannot run /no/such/ffmpeg"):
        run_ffmpeg(["/no/such/ffmpeg"], timeout=5)


def test_ffmpeg_is_the_setting_then_path_then_the_embedded_one(monkeypatch, tmp_path):
    assert find_ffmpeg(EMBEDDED) == EMBEDDED
    assert find_ffmpeg() == FFMPEG
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == EMBEDDED
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(RenderError, match="apt install ffmpeg") as caught:
        find_ffmpeg()
    assert caught.value.code == "ffmpeg_missing"


def test_a_wrong_setting_is_not_replaced_by_a_guess():
    with pytest.raises(RenderError, match="'/opt/none/ffmpeg'") as caught:
        find_ffmpeg("/opt/none/ffmpeg")
    assert caught.value.code == "ffmpeg_missing"
