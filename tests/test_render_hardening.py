"""Whatever ffmpeg does - hang, crash, talk or write without end, find the disk full - is one error in time, and no trace."""

import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from render import ffmpeg
from render.audio import AudioReport, check_song
from render.ffmpeg import LOG_BYTES, Limits, run_ffmpeg
from render.spec import RenderError
from render.video import render_video
from render_media import FFMPEG, photo, small_spec, song

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 0.8
SLACK = 2.0
# What a broken ffmpeg might do; its output file is the last argument, without "file:".
WAYS = {
    "hang": "time.sleep(600)",
    "hang_with_closed_pipes": "[os.close(n) for n in (0, 1, 2)]; time.sleep(600)",
    "crash": "os.kill(os.getpid(), signal.SIGSEGV)",
    "end_by_an_unnamed_signal": "os.kill(os.getpid(), 40)",
    "talk": "while True: os.write(1, bytes(65536))",
    "complain": "while True: os.write(2, bytes(range(256)) * 256)",
    "leave_rubbish": "open(sys.argv[-1][5:], 'wb').write(bytes(5000))",
    "say_done": "pass",
}
EXPECTED = {
    "hang": ("render_timeout", "longer than"),
    "hang_with_closed_pipes": ("render_timeout", "longer than"),
    "crash": ("ffmpeg_failed", "ffmpeg was killed by SIGSEGV"),
    "end_by_an_unnamed_signal": ("ffmpeg_failed", "ffmpeg was killed by signal 40"),
    "talk": ("render_timeout", "longer than"),
    "complain": ("render_timeout", "longer than"),
    "leave_rubbish": ("output_invalid", "the turn's first picture was not written"),
    "say_done": ("output_invalid", "the turn's first picture was not written"),
}
REPORT = AudioReport(12.3, 12.3, 44100, 2, -14.0, 5.0, -3.0, 0.0, False)


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """broken(way): the path of such an ffmpeg. Temporary folders lie in tmp_path/tmp."""
    song()  # its folder lies elsewhere
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))

    def write(way: str) -> str:
        path = tmp_path / "ffmpeg"
        path.write_text(f"#!{sys.executable} -IS\nimport os, signal, sys, time\n{WAYS[way]}\n")
        path.chmod(0o755)
        return str(path)

    return write


def descendants() -> set[str]:
    """Ids of our living child processes and theirs."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    found, new = set(), {str(os.getpid())}
    while new:
        new = {pid for pid, parent, state in rows if parent in new and not state.startswith("Z")} - found
        found |= new
    return found


def limit_for(way: str) -> float:
    """Short where it is what ends the run."""
    return LIMIT if EXPECTED[way][0] == "render_timeout" else 30.0


def one_error(attempt, limit):
    """The RenderError of an attempt that must end within the limit + SLACK and leave no process."""
    before, began = descendants(), time.monotonic()
    with pytest.raises(RenderError) as caught:
        attempt()
    assert time.monotonic() - began < limit + SLACK
    assert len(descendants() - before) <= 1  # ps itself
    assert "\n" not in str(caught.value) and not caught.value.permanent
    assert len(caught.value.detail.encode()) <= 64 * 1024
    return caught.value


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_ffmpeg_is_one_error_in_time_and_no_file(tmp_path, broken, way):
    pet, tune, out, fake = photo(tmp_path / "pet.png"), song(), tmp_path / "out" / "video.mp4", broken(way)
    out.parent.mkdir()
    limit = limit_for(way)
    error = one_error(
        lambda: render_video(pet, tune, out, small_spec(), ffmpeg=fake, report=REPORT, timeout=limit), limit)
    code, words = EXPECTED[way]
    assert error.code == code and words in str(error)
    assert os.listdir(out.parent) == os.listdir(tmp_path / "tmp") == []


BREAKS_OFF = {
    "crash": (WAYS["crash"], "ffmpeg_failed", "ffmpeg was killed by SIGSEGV", 30.0),
    "hang": (WAYS["hang"], "render_timeout", "longer than", 4.0),
    "end_early": ("sys.argv[sys.argv.index('-t') + 1] = '3'; os.execv(sys.argv[0], sys.argv)",
                  "output_invalid", "the video's", 30.0),
}


@pytest.mark.parametrize("way", BREAKS_OFF)
def test_a_sound_that_breaks_off_while_the_video_follows_it_is_one_error(tmp_path, broken, way):
    script, code, words, limit = BREAKS_OFF[way]
    pet, tune, out, begun = photo(tmp_path / "pet.png"), song(), tmp_path / "out" / "video.mp4", str(tmp_path / "begun")
    out.parent.mkdir()
    fake = Path(broken("say_done"))
    fake.write_text(f"#!{sys.executable} -IS\nimport os, signal, sys, time\nsys.argv[0] = {FFMPEG!r}\n"
                    "if not sys.argv[-1].endswith('/sound.mp4'):\n"
                    f"    if 'pipe:0' in sys.argv and 'copy' in sys.argv: open({begun!r}, 'w').close()\n"
                    "    os.execv(sys.argv[0], sys.argv)\n"
                    f"while not os.path.exists({begun!r}): time.sleep(0.01)\n{script}\n")
    error = one_error(lambda: render_video(pet, tune, out, small_spec(), ffmpeg=str(fake), timeout=limit), limit)
    assert error.code == code and words in str(error)
    assert os.path.exists(begun) and os.listdir(out.parent) == os.listdir(tmp_path / "tmp") == []


@pytest.mark.parametrize("way", [way for way in WAYS if EXPECTED[way][0] != "output_invalid"])
def test_a_broken_ffmpeg_does_not_condemn_the_song(broken, way):
    fake = broken(way)
    error = one_error(lambda: check_song(song(), ffmpeg=fake, timeout=limit_for(way)), limit_for(way))
    assert (error.code, EXPECTED[way][1] in str(error)) == (EXPECTED[way][0], True)


def test_only_the_end_of_endless_talk_is_kept():
    script = f"head -c {3 * LOG_BYTES} /dev/zero >&2; echo the end >&2"
    log = run_ffmpeg(["/bin/sh", "-c", script], timeout=20).log
    assert len(log) == LOG_BYTES and log.endswith("\0the end\n")


def test_an_alarm_while_it_starts_leaves_no_process(monkeypatch):
    """A signal's exception inside Popen: the process is there, and nobody has it in hand."""
    started = []

    class Alarm(Exception):
        pass

    class Popen(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)
            raise Alarm

    monkeypatch.setattr(ffmpeg.subprocess, "Popen", Popen)
    with pytest.raises(Alarm):
        run_ffmpeg(["/bin/sleep", "600"], timeout=20)
    assert started[0].wait(timeout=20) == 1  # not 0 after ten minutes, and not by a signal
    for pipe in (started[0].stdout, started[0].stderr):
        pipe.close()


def test_a_full_disk_is_one_error():
    argv = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", "anoisesrc", "-t", "60", "-f", "wav", "file:/dev/full"]
    with pytest.raises(RenderError, match="No space left on device") as caught:
        run_ffmpeg(argv, timeout=10)
    assert caught.value.code == "ffmpeg_failed"


@pytest.mark.parametrize("allowed", [2_000, 20_000, 150_000])
def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path, allowed):
    """Wherever the room ends (the turn, the sound, the video): one line, exit code 1, no file."""
    pet, tune = photo(tmp_path / "pet.png"), song()
    (tmp_path / "tmp").mkdir()
    command = ["prlimit", f"--fsize={allowed}", sys.executable, "-B", "-m", "render", pet, tune, tmp_path / "o.mp4",
               "--fps", "10", "--size", "128"]  # -B: a cut .pyc file would stay
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60,
                          env={**os.environ, "TMPDIR": str(tmp_path / "tmp")})
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert sorted(os.listdir(tmp_path)) == ["pet.png", "tmp"] and os.listdir(tmp_path / "tmp") == []


def limit_seen(option: str, limits: Limits) -> str:
    return run_ffmpeg(["/bin/sh", "-c", f"ulimit {option} >&2"], timeout=10, limits=limits).log.strip()


@pytest.mark.parametrize(("option", "limits", "value"), [
    ("-n", Limits(), "64"), ("-n", Limits(open_files=20), "20"), ("-v", Limits(memory=2**30), str(2**20)),
    ("-t", Limits(cpu_seconds=7), "7"), ("-f", Limits(file_bytes=512_000), "1000"), ("-c", Limits(), "0"),
])
def test_limits_hold_in_the_child(option, limits, value):
    assert limit_seen(option, limits) == value


def test_a_child_is_nice():
    log = run_ffmpeg(["/bin/sh", "-c", "nice >&2"], timeout=10, limits=Limits(niceness=7)).log
    assert int(log) == min(19, os.nice(0) + 7)


@pytest.fixture
def notes(caplog):
    """What was said of the network, from now on."""
    ffmpeg._network_stays.cache_clear()
    caplog.set_level(logging.INFO, "render.ffmpeg")
    return lambda: [record.reason for record in caplog.records if "network" in record.message]


def test_a_child_has_no_network_or_a_line_says_that_it_has(notes):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        program = f"import socket, sys\ntry: socket.create_connection({address!r}, 5)\nexcept OSError: sys.stderr.write('cut')"
        said = run_ffmpeg([sys.executable, "-ISc", program], timeout=10).log
    assert (said == "cut") == (notes() == [])


def test_the_line_is_said_once(notes):
    for _ in range(3):
        run_ffmpeg(["/bin/echo", "launch_network=Operation not permitted"], timeout=10)
    assert notes()[-1:] == ["Operation not permitted"] and len(notes()) == len(set(notes()))


def test_without_root_files_stay_ours_when_the_network_goes(tmp_path):
    """The user namespace that others than root need for it; where the kernel refuses it, nothing changes either."""
    program = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from render import launch
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
user = os.getuid()
open("before", "w").write("kept")
os.chmod("before", 0o600)
refused = launch.leave_network()
assert open("before").read() == "kept"
open("after", "w").close()
print(user, refused or "cut")
"""
    tmp_path.chmod(0o777)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    user, _, network = done.stdout.strip().partition(" ")
    assert int(user) != 0 and network in ("cut", "Operation not permitted", "Invalid argument", "No space left on device")
    assert {(tmp_path / name).stat().st_uid for name in ("before", "after")} == {int(user)}
