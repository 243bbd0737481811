import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from render_media import photo, song

ROOT = Path(__file__).resolve().parent.parent


def cli(*arguments, **options):
    command = [sys.executable, "-m", "render", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)


def test_photo_and_song_become_a_video_and_a_json_line(tmp_path):
    done = cli(photo(tmp_path / "p.jpg", (700, 500)), song(), tmp_path / "o.mp4", "--size", 128, "--fps", 10, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert facts["frames"] == 123
    assert facts["gain"]["mode"] == "linear"
    assert facts["report"]["flags"] == []
    assert facts["bytes"] == (tmp_path / "o.mp4").stat().st_size


def test_without_json_one_line_tells_and_rounding_is_said(tmp_path):
    done = cli(photo(tmp_path / "p.jpg"), song(), tmp_path / "o.mp4", "--size", 128, "--fps", 10, "--rpm", 33)
    assert done.stdout.count("\n") == 1
    assert "123 frames" in done.stdout
    assert done.stderr == "note: 33 RPM at 10 fps is not a whole number of frames a turn: 33.33 RPM (18 frames)\n"


@pytest.mark.parametrize(("change", "code", "words"), [
    ({"photo": "song"}, 3, "the photo is not a whole JPEG or PNG [photo_unreadable]"),
    ({"photo": "none"}, 3, "the photo cannot be read: No such file"),
    ({"song": "photo"}, 4, "[audio_undecodable]"),
    ({"song": "none"}, 4, "No such file"),
    ({"out": "none/o.mp4"}, 1, "[output_unwritable]"),
    ({"more": ["--ffmpeg", "/none"]}, 5, "[ffmpeg_missing]"),
    ({"more": ["--size", "129"]}, 2, "size must be even"),
    ({"more": ["--size", "big"]}, 2, "invalid int value"),
    ({"more": ["--assets", "/none"]}, 1, "[artwork_unreadable]"),
    ({"more": ["--timeout", "0.01"]}, 1, "[render_timeout]"),
])
def test_every_failure_is_one_line_and_its_exit_code(tmp_path, change, code, words):
    files = {"photo": photo(tmp_path / "p.jpg"), "song": song(), "none": tmp_path / "none"}
    done = cli(files[change.get("photo", "photo")], files[change.get("song", "song")],
               tmp_path / change.get("out", "o.mp4"), "--fps", 10, *change.get("more", ()))
    assert done.returncode == code
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["p.jpg"]


def test_help_names_the_exit_codes():
    assert "the song cannot be used" in cli("--help").stdout


def test_a_terminal_sees_a_line_that_moves(tmp_path):
    parent, child = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "render", photo(tmp_path / "p.jpg"), song(), tmp_path / "o.mp4",
                                "--size", "128", "--fps", "10"], cwd=ROOT, stderr=child, stdout=subprocess.DEVNULL)
    os.close(child)
    seen = b""
    try:
        while data := os.read(parent, 4096):
            seen += data
    except OSError:
        pass  # how Linux says that the other side of a terminal is closed
    os.close(parent)
    assert process.wait() == 0
    assert seen.count(b"\r[") > 1
    assert seen.rstrip().endswith(b"100%")


def test_the_renderer_knows_nothing_of_the_app():
    program = ("import sys, render.__main__, render.video; "
               "print(*sorted({'flask', 'peewee', 'redis', 'rq', 'petsong', 'pydantic'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == ""
